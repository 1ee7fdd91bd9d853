"""The clients that nodes are given: requests as httpx builds them, answers of every shape, and no cookie for another user."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from area.core.http import Egress, ResponseTooLarge, make_client
from area.engine.client import NodeClient
from area.engine.context import Access, Clients
from area.nodes import sdk

SERVICE = sdk.Service(
    key="plain",
    name="Plain",
    description="For tests.",
    base_url="https://api.test/v1",
    headers={"X-Own": "1", "accept": "a/b"},
)
LOOPBACK = [ip_network("127.0.0.0/8")]
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    found = Clients(Egress(LOOPBACK))
    yield found
    await found.close()


class Raw:
    """A server that says exactly these bytes, in parts that are sent apart."""

    def __init__(self, *answers: list[bytes], then_close: bool = False) -> None:
        self._answers = iter(answers)
        self._then_close = then_close
        self.heard: list[str] = []
        self.connections = 0

    async def __aenter__(self) -> "Raw":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        self.next_part = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heard.append(head.decode())
                for n, part in enumerate(next(self._answers)):
                    if n:
                        await self.next_part.wait()
                    writer.write(part)
                    await writer.drain()
                if self._then_close:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"headers": {"X-A": "1"}},
        {"headers": {"x-own": "2", "User-Agent": "me", "ACCEPT": "c/d"}},
        {"headers": [("X-A", "1"), ("x-a", "2")]},
        {"headers": [(b"X-A", b"\xc3\xa9")]},
        {"headers": httpx.Headers({"X-A": "é"}, encoding="utf-8")},
        {"headers": {"Host": "elsewhere.test"}},
        {"headers": {"Content-Length": "3"}, "content": "abc"},
        {"headers": {"Content-Type": "x/y"}, "json": {"n": "é\ud7ff"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"Transfer-Encoding": "chunked"}, "content": b"abc"},
        {"json": {"n": [1, 2.5, None, True]}},
        {"json": 0},
        {"json": []},
        {"content": ""},
        {"content": "é"},
        {"content": b"\xff"},
        {"content": "a", "json": {"b": 1}},
        {"params": {"q": "a b"}},
        {"params": {}},
        {"data": {"a": "b c"}},
        {
            "files": {"f": ("a.txt", b"text", "text/plain")},
            "headers": {"Content-Type": "multipart/form-data; boundary=b"},
        },
        {"timeout": 3.0},
        {"timeout": None},
        {"extensions": {"trace": "x"}},
        {"cookies": {"a": "1"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("url", ["https://x.test:8443/a%2Fb?q=1#f", "/things?q=1", "things", ""])
async def test_requests_are_those_that_httpx_builds(clients: Clients, url: str, given: dict[str, Any]) -> None:
    client = clients.of(SERVICE)
    plain = httpx.AsyncClient(
        base_url=client.base_url,
        headers=client.headers,
        timeout=client.timeout,
        transport=httpx.MockTransport(lambda _: httpx.Response(200)),
    )
    for method in ("get", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        built = client.build_request(method, url, **given)
        wanted = plain.build_request(method, url, **given)
        assert (built.method, built.url, built.headers.raw) == (wanted.method, wanted.url, wanted.headers.raw)
        assert built.extensions == wanted.extensions
        assert await built.aread() == await wanted.aread()


@pytest.mark.parametrize(
    "given", [{"json": float("nan")}, {"json": {"a": object()}}, {"headers": {"X": "é"}}, {"json": "\ud800"}]
)
async def test_what_httpx_refuses_is_refused(clients: Clients, given: dict[str, Any]) -> None:
    client = clients.of(SERVICE)
    with pytest.raises((TypeError, ValueError)) as wanted:
        httpx.Request("POST", "https://x.test", **given)
    with pytest.raises(wanted.type):
        client.build_request("POST", "https://x.test", **given)


async def test_a_body_that_is_not_in_memory_is_streamed(clients: Clients) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    built = clients.of(SERVICE).build_request("POST", "/a", content=parts())
    assert built.headers["Transfer-Encoding"] == "chunked"
    assert await built.aread() == b"onetwo"


async def test_the_clients_own_parameters_go_with_each_request(clients: Clients) -> None:
    client = clients.of(SERVICE)
    client.params = httpx.QueryParams({"key": "1"})
    assert str(client.build_request("GET", "/a").url) == "https://api.test/v1/a?key=1"


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ([OK + b"Content-Length: 5\r\n\r\nhello"], b"hello"),
        ([OK + b"Content-Length: 5\r\n\r\n", b"hel", b"lo"], b"hello"),
        ([OK + b"Content-Length: 0\r\n\r\n"], b""),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"], b"hello"),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"], b"hello"),
    ],
    ids=str,
)
async def test_an_answer_is_whole_however_it_arrives(clients: Clients, parts: list[bytes], body: bytes) -> None:
    async with Raw(parts, parts, parts) as server:
        server.next_part.set()
        client = clients.of(SERVICE)
        for _ in range(2):
            answer = await client.get(server.url)
            assert (answer.content, answer.is_closed, answer.num_bytes_downloaded) == (body, True, len(body))
            assert await answer.aread() == body
            assert [part async for part in answer.aiter_bytes()] == ([body] if body else [])
        async with client.stream("GET", server.url) as streamed:
            assert b"".join([part async for part in streamed.aiter_raw()]) == body
            with pytest.raises(httpx.StreamConsumed):
                await streamed.aread()
        assert server.connections == 1


async def test_a_body_that_is_here_by_now_is_decoded(clients: Clients) -> None:
    packed = gzip.compress(b"hello" * 100)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with Raw([head + packed]) as server:
        answer = await clients.of(SERVICE).get(server.url)
    assert answer.text == "hello" * 100


async def test_a_body_that_was_left_unread_is_closed(clients: Clients) -> None:
    async with Raw([OK + b"Content-Length: 5\r\n\r\nhello"]) as server:
        async with clients.of(SERVICE).stream("GET", server.url) as answer:
            pass
        with pytest.raises(httpx.StreamClosed):
            await answer.aread()


@pytest.mark.parametrize("arrives", ["at once", "apart"])
async def test_a_body_cut_short_is_an_error_that_names_its_request(clients: Clients, arrives: str) -> None:
    head = OK + b"Content-Length: 5\r\n\r\n"
    parts = [head + b"hel"] if arrives == "at once" else [head, b"hel"]
    async with Raw(parts, then_close=True) as server:
        server.next_part.set()
        with pytest.raises(httpx.ReadError) as caught:
            await clients.of(SERVICE).post(server.url)
    assert caught.value.request.method == "POST"


@pytest.mark.parametrize("kind", [httpx.AsyncClient, NodeClient])
@pytest.mark.parametrize("arrives", ["at once", "apart"])
async def test_the_limit_holds_for_bodies_however_they_arrive(kind: type[httpx.AsyncClient], arrives: str) -> None:
    head = OK + b"Content-Length: 5\r\n\r\n"
    options: dict[str, Any] = {"gate": None, "mapped": None} if kind is NodeClient else {}
    async with (
        make_client(Egress(LOOPBACK), kind=kind, limit=4, **options) as client,
        Raw([head + b"hello"] if arrives == "at once" else [head, b"hello"]) as server,
    ):
        server.next_part.set()
        with pytest.raises(ResponseTooLarge, match="more than 4 bytes"):
            await client.get(server.url)


SETS = b"HTTP/1.1 %s\r\nSet-Cookie: session=of-another\r\nContent-Length: 0\r\n%s\r\n"


@pytest.mark.parametrize("asked", ["plain", "following", "authorised", "bare"])
async def test_a_cookie_goes_with_nobody_elses_request(clients: Clients, asked: str) -> None:
    client = clients.bare() if asked == "bare" else clients.of(SERVICE)
    given: dict[str, Any] = {"following": {"follow_redirects": True}, "authorised": {"auth": ("me", "pw")}}
    more = given.get(asked, {})
    async with Raw(*[[SETS % (b"200 OK", b"")]] * 2) as server:
        for _ in range(2):
            await client.get(server.url, **more)
        assert not any("of-another" in head for head in server.heard)
    assert not client.cookies


async def test_a_cookie_of_a_redirect_goes_where_it_leads(clients: Clients) -> None:
    answers = [[SETS % (b"302 Found", b"Location: /there\r\n")], [EMPTY]]
    async with Raw(*answers) as server:
        await clients.of(SERVICE).get(server.url, follow_redirects=True)
        assert [head.split()[1] for head in server.heard] == ["/", "/there"]
        assert "Cookie: session=of-another" in server.heard[1]
        assert "Transfer-Encoding" not in server.heard[1]


class Renewed(httpx.Auth):
    """Puts a token on each request, and another where that was refused; ``raises`` instead of the second."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.raises = raises
        self.answers: list[httpx.Response] = []

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = "Bearer one"
        answer = yield request
        self.answers.append(answer)
        if self.raises:
            raise self.raises
        if answer.status_code == 401:
            request.headers["Authorization"] = "Bearer two"
            yield request


async def test_a_request_is_sent_again_as_its_authorisation_says(clients: Clients) -> None:
    refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    auth = Renewed()
    async with Raw([refused], [EMPTY], [EMPTY]) as server:
        client = clients.of(SERVICE, Access(auth=auth))
        assert (await client.post(server.url, content="body")).status_code == 200
        assert (await client.get(server.url)).status_code == 200
        assert [head.partition("Bearer ")[2].split()[0] for head in server.heard] == ["one", "two", "one"]
        assert server.connections == 1
    assert auth.answers[0].text == "no"


async def test_an_answer_that_its_authorisation_chokes_on_is_closed(clients: Clients) -> None:
    auth = Renewed(sdk.Reconnect("Gone."))
    async with Raw([OK + b"Content-Length: 5\r\n\r\n"]) as server:
        with pytest.raises(sdk.Reconnect, match="Gone"):
            await clients.of(SERVICE, Access(auth=auth)).get(server.url)
    assert auth.answers[0].is_closed


@pytest.mark.parametrize(
    "given",
    [{}, {"auth": ("me", "pw")}, {"auth": None}, {"auth": httpx.BasicAuth("me", "pw")}],
    ids=["its own", "a pair", "none", "another"],
)
async def test_what_one_request_is_authorised_by_goes_before_the_clients_own(
    clients: Clients, given: dict[str, Any]
) -> None:
    async with Raw([EMPTY]) as server:
        await clients.of(SERVICE, Access(auth=Renewed())).get(server.url, **given)
        is_basic, is_own = "Authorization: Basic" in server.heard[0], "Bearer one" in server.heard[0]
    assert (is_basic, is_own) == (bool(given.get("auth")), not given)


async def test_who_an_address_names_is_authorised(clients: Clients) -> None:
    async with Raw([EMPTY]) as server:
        await clients.of(SERVICE).get(server.url.replace("//", "//me:pw@"))
        assert "Authorization: Basic" in server.heard[0]
