"""The client that nodes are given: httpx's, without what a plain call does not need of it."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from copy import copy
from functools import lru_cache
from json import dumps
from typing import Any, Protocol

import httpx
from httpx import USE_CLIENT_DEFAULT

from area.nodes import sdk

_PLAIN = dict.fromkeys(("data", "files", "params", "cookies", "extensions")) | {"timeout": USE_CLIENT_DEFAULT}
"""What httpx's client gives for these where its caller gave nothing."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


class Gate(Protocol):
    """Counts the calls of one account, and stops those that its provider would refuse."""

    async def admit(self, request: httpx.Request) -> None:
        """Raise sdk.Throttled when the call is better not made."""

    async def learn(self, response: httpx.Response) -> None:
        """Take in what an answer says of the limits."""


class NodeClient(httpx.AsyncClient):
    """Asks the gate before each call, and maps the last answer to the SDK's errors, after any new authorisation."""

    def __init__(
        self,
        *,
        gate: Gate | None,
        mapped: Callable[[httpx.Response], Awaitable[None]] | None,
        transport: httpx.AsyncBaseTransport,
        **options: Any,
    ) -> None:
        super().__init__(transport=transport, **options)
        self._straight = transport
        self._gate = gate
        self._mapped = mapped

    def build_request(
        self,
        method: str,
        url: httpx.URL | str,
        *,
        content: Any = None,
        json: Any = None,
        headers: Any = None,
        **more: Any,
    ) -> httpx.Request:
        """A request of this client."""
        address = parsed(url) if isinstance(url, str) else url
        is_plain = isinstance(content, str | bytes | None) and not (self.params or self.cookies)
        if not (is_plain and (more == _PLAIN or not more)):
            return super().build_request(method, address, content=content, json=json, headers=headers, **more)
        if address.is_relative_url:
            address = self._merge_url(address)
        request = _plain_request(method, address, self.headers, headers=headers, content=content, json=json)
        request.extensions["timeout"] = self.timeout.as_dict()
        return request

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = USE_CLIENT_DEFAULT,
        follow_redirects: Any = USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send one request, and those that its authorisation adds. Raises: sdk.NodeError, httpx's errors."""
        if self._gate:
            await self._gate.admit(request)
        by = self.auth if auth is USE_CLIENT_DEFAULT else auth
        if follow_redirects is True:
            # What a redirect sets may be asked for where it leads; for this one call, as the client may be everybody's.
            once = copy(self)
            once.cookies = httpx.Cookies()
            response = await super(NodeClient, once).send(request, stream=True, auth=auth, follow_redirects=True)
        # Else straight out: what httpx does for redirects and cookies costs as much as the call itself.
        elif isinstance(by, httpx.Auth):
            response = await self._authorised(request, by)
        elif by or request.url.userinfo:
            response = await super().send(request, stream=True, auth=auth, follow_redirects=follow_redirects)
        else:
            response = await self._straight.handle_async_request(request)
        try:
            failed = response.status_code >= 400
            if failed:
                await sdk.has_body(response)
            if self._gate:
                await self._gate.learn(response)
            if self._mapped:
                await self._mapped(response)
            if not stream and not failed:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response

    async def _authorised(self, request: httpx.Request, auth: httpx.Auth) -> httpx.Response:
        """Send a request, and those that its authorisation makes of the answers; the last answer, its body unread."""
        async with aclosing(auth.async_auth_flow(request)) as flow:
            asked = await anext(flow)
            while True:
                response = await self._straight.handle_async_request(asked)
                try:
                    asked = await flow.asend(response)
                    await response.aread()
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise


@lru_cache(maxsize=512)
def parsed(url: str) -> httpx.URL:
    """An address, parsed once: those of services and steps come again and again. Raises: httpx.InvalidURL."""
    return httpx.URL(url)


def _plain_request(
    method: str, url: httpx.URL, own: httpx.Headers, *, headers: Any, content: str | bytes | None, json: Any
) -> httpx.Request:
    """The request that a client with the headers ``own`` builds of these; with the same bytes in the same order."""
    given = (headers if isinstance(headers, httpx.Headers) else httpx.Headers(headers)).raw
    replaced = {name.lower() for name, _ in given}
    lines = [(name, value) for name, value in own.raw if name.lower() not in replaced] + given
    names = {name.lower() for name, _ in lines}
    body = _encoded(content, json)
    if body and b"content-length" not in names:
        lines.append((b"Content-Length", b"%d" % len(body)))
    if content is None and json is not None and b"content-type" not in names:
        lines.append((b"Content-Type", b"application/json"))
    if not body and not names & _LENGTHS and method.upper() in _WITH_BODY:
        lines.insert(0, (b"Content-Length", b"0"))
    if b"host" not in names:
        lines.insert(0, (b"Host", url.netloc))
    request = httpx.Request(method, url, headers=lines, stream=httpx.ByteStream(body))
    request.read()
    return request


def _encoded(content: str | bytes | None, json: Any) -> bytes:
    if content is not None:
        return content.encode() if isinstance(content, str) else content
    if json is None:
        return b""
    return dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
