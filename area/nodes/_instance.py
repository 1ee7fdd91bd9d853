"""Addresses of servers of one's own choice, for services that many run: Mastodon's instances, Bluesky's hosts."""

INSTANCE = (
    r"^(?:(?:https://)?(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9](?::\d{1,5})?"
    r"|http://(?:localhost|127\.0\.0\.1)(?::\d{1,5})?)/?$"
)
"""A name with a dot, by https; plain http on the very same machine only, since secrets travel with each request."""


def address(given: str) -> str:
    """The base URL of what fits `INSTANCE`."""
    given = given.rstrip("/")
    return given if given.startswith(("http://", "https://")) else f"https://{given}"
