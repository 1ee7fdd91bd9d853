"""Outgoing HTTP: one guarded connection pool per process, spoken to through ``httpx.AsyncClient``.

The guard stands where connections are made, so a request over a kept-alive connection pays nothing for it:

- the resolver refuses a name when any of its addresses is refused;
- the socket factory sees the very address that is about to be connected, so IP literals in any spelling, redirects and
  names that change their address between check and use cannot pass.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
import httpx
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict
from yarl import URL

from area.core.errors import AreaError
from area.core.flight import held_back, leaves

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MAX_RESPONSE = 1 << 20
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
NAT64 = ip_network("64:ff9b::/96")
AGENT = "AREA/0.1"
CHUNK = 1 << 16
_NO_COOKIES = DefaultCookiePolicy(allowed_domains=())
_OWN_HEADERS_ONLY = CIMultiDict((name, None) for name in ("User-Agent", "Accept", "Accept-Encoding", "Content-Type"))


class EgressRefused(AreaError):
    """The address is private, and the operator has not allowed it."""

    def __init__(self, host: str, address: object = None) -> None:
        where = host if address is None or str(address) == host else f"{host} ({address})"
        super().__init__(
            f"{where} is not a public address, so it may not be reached. Use a public one, or have the operator add "
            "its network to AREA_EGRESS_ALLOW.",
            code="EGRESS_REFUSED",
        )


class ResponseTooLarge(AreaError):
    """An answer longer than the client's limit, in bytes."""

    def __init__(self, host: str, limit: int) -> None:
        super().__init__(
            f"{host} answered with more than {limit} bytes. Ask it for less.",
            code="RESPONSE_TOO_LARGE",
        )


class Egress:
    """Which addresses may be connected to: public ones, and those in ``allow``."""

    def __init__(self, allow: Iterable[Network] = ()) -> None:
        self.allow = tuple(allow)

    def check_address(self, address: Address | str, host: str | None = None) -> None:
        """Raise EgressRefused unless ``address`` is public or allowed; ``host`` is how the user wrote it."""
        try:
            found = ip_address(address.partition("%")[0]) if isinstance(address, str) else address
        except ValueError:  # "127.1" and "2130706433" are addresses to connect(2) only: nobody means well by them
            raise EgressRefused(host or str(address)) from None
        found = _embedded(found)
        if _is_public(found) or any(found in network for network in self.allow):
            return
        raise EgressRefused(host or str(address), address)

    async def connect(self, host: str, port: int, seconds: float = 10.0) -> socket.socket:
        """A socket connected to ``host``, for protocols other than HTTP; non-blocking.

        Raises: EgressRefused when any address of ``host`` is refused, OSError or TimeoutError when none answers.
        """
        addresses = await aiohttp.ThreadedResolver().resolve(host, port, socket.AF_UNSPEC)
        for found in addresses:
            self.check_address(found["host"], host)
        trouble: OSError | None = None
        for found in addresses:
            sock = socket.socket(found["family"], socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.get_running_loop().sock_connect(sock, (found["host"], port))
            except BaseException as error:
                sock.close()
                if not isinstance(error, OSError):  # a TimeoutError is one
                    raise
                trouble = error
            else:
                return sock
        raise trouble or OSError(f"{host} has no address")

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for one address about to be connected; aiohttp's ``socket_factory``."""
        family, kind, protocol, _, target = info
        self.check_address(target[0])
        return socket.socket(family=family, type=kind, proto=protocol)


class GuardedResolver(AbstractResolver):
    """The system's resolver, refusing names that lead to a refused address."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's addresses. Raises: EgressRefused, OSError."""
        found = await self._inner.resolve(host, port, family)
        for result in found:
            self._egress.check_address(result["host"], host)
        return found

    async def close(self) -> None:
        """Nothing is held open."""


class LimitedStream(httpx.AsyncByteStream):
    """The answer's bytes as they arrive, refused beyond ``limit``."""

    def __init__(self, answer: aiohttp.ClientResponse, limit: int) -> None:
        self._answer = answer
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        try:
            async for chunk in self._answer.content.iter_chunked(CHUNK):
                received += len(chunk)
                if received > self._limit:
                    raise ResponseTooLarge(self._answer.url.host or "", self._limit)
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _in_httpx(error) from error

    def arrived(self) -> bytes | None:
        """The whole of a plain body that is here by now, the connection given back; None where it is to be streamed."""
        content = self._answer.content
        if not content.is_eof() or content.exception() or hdrs.CONTENT_ENCODING in self._answer.headers:
            return None
        if content.total_bytes > self._limit:
            return None
        whole = content.read_nowait()
        self._answer.release()
        return whole

    async def aclose(self) -> None:
        """Give the connection back, or close it when bytes are left unread."""
        self._answer.release()


class LimitedResponse(httpx.Response):
    """A response whose decoded body has the limit too: a small body may decompress to a huge one."""

    limit: int

    async def aread(self) -> bytes:
        """The decoded body. Raises: ResponseTooLarge."""
        # Most answers are short, and here by now: they need none of the generators that stream a long one.
        if not (self.is_stream_consumed or self.is_closed) and isinstance(self.stream, LimitedStream):
            whole = self.stream.arrived()
            if whole is not None:
                self._content = whole
                self._num_bytes_downloaded = len(whole)
                self.is_stream_consumed = self.is_closed = True
        return await super().aread()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The decoded body. Raises: ResponseTooLarge."""
        decoded = 0
        async for chunk in super().aiter_bytes(chunk_size):
            decoded += len(chunk)
            if decoded > self.limit:
                raise ResponseTooLarge(self.request.url.host, self.limit)
            yield chunk


class ToldRequest(aiohttp.ClientRequest):
    """A request that tells when it has a connection and leaves."""

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add none: httpx has set what there is to set."""
        self._skip_auto_headers = _OWN_HEADERS_ONLY

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Send it."""
        leaves()
        return await super().send(conn)


class GuardedTransport(AiohttpTransport):
    """httpx over one aiohttp session; unlike its parent it tells "never sent" from "no answer", and limits size."""

    def __init__(self, session: aiohttp.ClientSession, *, limit: int, owns_session: bool) -> None:
        super().__init__(verify=_tls(), client=session)
        self._session = session
        self._limit = limit
        self._owns_session = owns_session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; redirects are the client's to follow, through this guard again."""
        timeout = request.extensions.get("timeout", {})
        url = request.url.copy_with(userinfo=b"") if request.url.userinfo else request.url  # it is a header by now
        body = _body(request)
        try:
            with held_back():
                answer = await self._session.request(
                    request.method,
                    URL(str(url), encoded=True),
                    headers=_headers(request),
                    data=body,
                    allow_redirects=False,
                    timeout=_timeout(timeout.get("pool"), timeout.get("connect"), timeout.get("read")),
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _in_httpx(error) from error
        response = LimitedResponse(
            answer.status,
            headers=list(answer.raw_headers),
            stream=LimitedStream(answer, self._limit),
            request=request,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (answer.reason or "").encode()},
        )
        response.limit = self._limit
        return response

    async def aclose(self) -> None:
        """Close the session, unless other clients share it."""
        if self._owns_session:
            await self._session.close()


def make_session(egress: Egress) -> aiohttp.ClientSession:
    """The process's connection pool; call inside the running loop, and close it at the end."""
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(egress),
        socket_factory=egress.open_socket,
        limit=0,
        ttl_dns_cache=30,
        keepalive_timeout=60,
        ssl=_tls(),
    )
    return aiohttp.ClientSession(
        connector=connector,
        request_class=ToldRequest,
        cookie_jar=aiohttp.DummyCookieJar(),  # users share the pool: no cookie may outlive its request
        auto_decompress=False,
        trust_env=False,
    )


def make_client(
    egress: Egress,
    *,
    session: aiohttp.ClientSession | None = None,
    limit: int = MAX_RESPONSE,
    timeout: httpx.Timeout = TIMEOUT,
    headers: dict[str, str] | None = None,
    kind: type[httpx.AsyncClient] = httpx.AsyncClient,
    **options: Any,
) -> httpx.AsyncClient:
    """A guarded client. With ``session`` it shares that pool and leaves it open; ``options`` are those of its ``kind``.

    ``limit`` is the most bytes of one answer. Cookies are not kept: users share clients, and what one user's answer set would go
    with another's request. Requests raise EgressRefused, ResponseTooLarge or httpx's exceptions.
    """
    transport = GuardedTransport(session or make_session(egress), limit=limit, owns_session=session is None)
    given = {"User-Agent": AGENT, "Accept-Encoding": "gzip, deflate", **(headers or {})}
    return kind(
        transport=transport,
        timeout=timeout,
        headers=given,
        cookies=CookieJar(_NO_COOKIES),
        follow_redirects=False,
        trust_env=False,
        **options,
    )


@lru_cache(maxsize=64)
def _timeout(connect: float | None, sock_connect: float | None, sock_read: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=connect, sock_connect=sock_connect, sock_read=sock_read)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries (mapped, 6to4, Teredo, NAT64), or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.teredo:
        return address.teredo[1]
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    try:
        return [(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw]
    except UnicodeDecodeError:  # httpx finds the encoding, at a price
        return request.headers.multi_items()


def _body(request: httpx.Request) -> Any:
    if isinstance(request.stream, httpx.ByteStream):  # not read yet where it goes on to where a redirect leads
        return request.read() or None
    request.headers.pop("transfer-encoding", None)  # aiohttp sets its own
    return request.stream


def _in_httpx(error: Exception) -> httpx.TransportError:
    """The httpx exception that says whether the request can have left: Connect* means that it did not."""
    words = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(words)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(words)
        case TimeoutError():
            return httpx.ReadTimeout(words)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.UnsupportedProtocol(words)
        case aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            return httpx.ReadError(words)
        case _:
            return httpx.RemoteProtocolError(words)
