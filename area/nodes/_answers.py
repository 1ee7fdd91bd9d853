"""Reading the JSON of answers that should hold it: what is something else says so, and whether the call may have happened."""

from typing import Any

import httpx

from area.nodes import sdk


def one(response: httpx.Response, *needed: str, safe: bool | None = None) -> dict[str, Any]:
    """The object of an answer. Raises: Unavailable when it is something else, or Unknown where the call may have done something.

    ``needed`` may be neither missing nor empty text; ``safe`` as for `strange`.
    """
    found = read(response)
    if isinstance(found, dict) and all(found.get(name) not in (None, "") for name in needed):
        return found
    raise strange(response, safe=safe)


def many(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of an answer. Raises: Unavailable or Unknown, as `one`."""
    found = read(response)
    if isinstance(found, list):
        return [item for item in found if isinstance(item, dict)]
    raise strange(response)


def read(response: httpx.Response) -> Any:
    """What an answer holds; None when it is no JSON, or nested too deep to be read."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def strange(response: httpx.Response, *, safe: bool | None = None) -> sdk.NodeError:
    """What an answer means that its API does not promise; ``safe``: the call may be repeated, as a GET always may."""
    told = f"{response.request.url.host} answered {response.status_code} with something else than its API promises."
    if response.request.method == "GET" if safe is None else safe:
        return sdk.Unavailable(told)
    return sdk.Unknown(f"{told} The call may have happened.")
