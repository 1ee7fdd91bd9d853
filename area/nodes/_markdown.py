"""Text from elsewhere in Markdown, as GitHub and GitLab read it: an @name in it must not notify anybody."""

import re

JOINER = "\u2060"
"""Word joiner, which nobody sees: behind an @ it makes a name that is nobody's."""
_AT = re.compile(
    r"(?P<link>(?<![^\s(<])https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d{1,5})?(?:/[A-Za-z0-9.-]*)*/@)"
    r"|(?<![A-Za-z0-9])(?:@|&(?:#0*64|#[xX]0*40|commat);)(?=[\w.&])"
)
"""What may be taken for a mention, before Markdown is read or after: it may stand behind any letter but ASCII's, within
_emphasis_, behind a backtick that is never closed, or as an entity. In the path of a plain link, such as a Mastodon post's, it is
none; one with emphasis or more in it may fall apart, and is no plain link."""


def unmentioned(text: str) -> str:
    """The text, in which no name is mentioned."""
    return _AT.sub(lambda found: found["link"] or f"@{JOINER}", text)
