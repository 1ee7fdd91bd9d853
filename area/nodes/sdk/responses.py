"""From a provider's HTTP answer, or its absence, to what the engine must do."""

from collections.abc import Awaitable, Callable

import httpx

from area.core.http import EgressRefused, ResponseTooLarge
from area.nodes.sdk.errors import NodeError, Reconnect, Rejected, Throttled, Unavailable, Unheard, Unknown
from area.nodes.sdk.limits import throttled

SNIPPET = 300
GAVE_UP = frozenset({502, 504, 520, 524})
"""What a gateway says of a provider that it heard nothing usable from: RFC 9110, 15.6.3 and 15.6.5, and Cloudflare's own."""
READS = frozenset({"GET", "HEAD", "OPTIONS"})
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
REFUSED = (EgressRefused, ResponseTooLarge, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects)


def map_response(response: httpx.Response, *, authorised: bool = False) -> None:
    """Raise what a failing answer means; a body that was read is quoted.

    ``authorised`` says that the request carried an account's consent, so that a 401 means Reconnect.
    """
    status = response.status_code
    if status < 400:
        return
    said = f"{response.request.url.host} answered {status} {response.reason_phrase}".rstrip() + _snippet(response)
    wait = throttled(response)
    if wait is not None:
        raise Throttled(said, retry_after=wait)
    if status in GAVE_UP and response.request.method not in READS:
        raise Unheard(said)
    if status == 408 or status >= 500:
        raise Unavailable(said)
    if status == 401 and authorised:
        raise Reconnect(f"{said}. Connect the account again.")
    raise Rejected(said, code=f"HTTP_{status}")


def response_hook(
    *, authorised: bool, judge: Callable[[httpx.Response], None] | None = None
) -> Callable[[httpx.Response], Awaitable[None]]:
    """``map_response`` as an httpx response hook, which reads a failing body first so that it can be quoted.

    ``judge`` is the service's own view of an answer, asked first and of every answer.
    """

    async def hook(response: httpx.Response) -> None:
        readable = await has_body(response) if response.status_code >= 400 else judge is not None
        if judge and readable:
            await response.aread()
            judge(response)
        map_response(response, authorised=authorised)

    return hook


async def has_body(response: httpx.Response) -> bool:
    """Read a failing answer's body; False when it is too long or was cut short, so that its status has to do."""
    try:
        await response.aread()
    except (ResponseTooLarge, httpx.TransportError, httpx.StreamError):
        return False
    return True


def map_transport_error(error: Exception) -> NodeError:
    """What a request that got no answer means: never sent, refused here, or unknown."""
    if isinstance(error, REFUSED):
        return Rejected(str(error), code=getattr(error, "code", None))
    reason = str(error) or type(error).__name__
    if isinstance(error, NEVER_SENT):
        return Unavailable(f"Could not connect: {reason}")
    return Unknown(f"No complete answer came back, so the call may have happened: {reason}")


def _snippet(response: httpx.Response) -> str:
    try:
        text = " ".join(response.text[: SNIPPET * 4].split())[:SNIPPET]
    except httpx.ResponseNotRead:
        return ""
    return f": {text}" if text else ""
