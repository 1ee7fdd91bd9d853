"""The egress guard, with a real server on loopback that counts what reaches it."""

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network

import httpx
import pytest
from aiohttp import web

from area.core.http import Egress, EgressRefused, ResponseTooLarge, make_client, make_session

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]


@dataclass
class Server:
    port: int = 0
    reached: list[str] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    state = Server()

    async def handle(request: web.Request) -> web.StreamResponse:
        state.reached.append(request.path)
        match request.path:
            case "/big":
                return web.Response(body=b"x" * 3000)
            case "/bomb":
                return web.Response(body=gzip.compress(b"x" * 200_000), headers={"Content-Encoding": "gzip"})
            case "/away":
                raise web.HTTPFound("http://169.254.169.254/latest/meta-data")
            case "/drop":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "/cookie":
                return web.Response(text=request.headers.get("Cookie", ""), headers={"Set-Cookie": "a=1"})
        body = {"body": (await request.read()).decode(), "path": request.raw_path, "headers": dict(request.headers)}
        return web.json_response(body)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state.port = runner.addresses[0][1]
    yield state
    await runner.cleanup()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "127.1",
        "2130706433",
    ],
)
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(EgressRefused, match="AREA_EGRESS_ALLOW"):
        Egress().check_address(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_pass(address: str) -> None:
    Egress().check_address(address)


def test_allowed_networks_pass() -> None:
    egress = Egress([ip_network("10.0.0.0/8")])
    egress.check_address("10.1.2.3")
    with pytest.raises(EgressRefused):
        egress.check_address("127.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_nothing_reaches_loopback(server: Server, host: str) -> None:
    async with make_client(Egress()) as client:
        with pytest.raises((EgressRefused, httpx.UnsupportedProtocol)):
            await client.get(server.url(host=host))
    assert server.reached == []


async def test_a_redirect_is_guarded_too(server: Server) -> None:
    async with make_client(Egress(LOOPBACK)) as client:
        assert (await client.get(server.url("/away"))).status_code == 302
        with pytest.raises(EgressRefused, match=r"169\.254\.169\.254"):
            await client.get(server.url("/away"), follow_redirects=True)


async def test_sockets_of_other_protocols_are_guarded_too(server: Server) -> None:
    port = httpx.URL(server.url()).port or 0
    with pytest.raises(EgressRefused, match="localhost"):
        await Egress().connect("localhost", port)
    sock = await Egress(LOOPBACK).connect("127.0.0.1", port)
    assert sock.getpeername() == ("127.0.0.1", port)
    sock.close()
    with pytest.raises(ConnectionRefusedError):
        await Egress(LOOPBACK).connect("127.0.0.1", 1)


async def test_an_allowed_request_arrives_as_sent(server: Server) -> None:
    async with make_client(Egress(LOOPBACK)) as client:
        url = server.url("/a%2Fb?q=%20x&r=+", host="me:pw@127.0.0.1")
        answer = (await client.post(url, json={"n": "é"})).json()
        assert answer["body"] == '{"n":"é"}'
        assert answer["path"] == "/a%2Fb?q=%20x&r=+"
        assert answer["headers"]["Authorization"].startswith("Basic ")
        assert answer["headers"]["User-Agent"] == "AREA/0.1"

        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        assert (await client.post(server.url(), content=parts())).json()["body"] == "onetwo"


@pytest.mark.parametrize(("path", "limit"), [("/big", 2000), ("/bomb", 2000)])
async def test_long_answers_are_refused(server: Server, path: str, limit: int) -> None:
    async with make_client(Egress(LOOPBACK), limit=limit) as client:
        with pytest.raises(ResponseTooLarge, match=f"more than {limit} bytes"):
            await client.get(server.url(path))


async def test_no_cookie_outlives_its_client(server: Server) -> None:
    session = make_session(Egress(LOOPBACK))
    for _ in range(2):
        async with make_client(Egress(LOOPBACK), session=session) as client:
            assert (await client.get(server.url("/cookie"))).text == ""
    assert not session.closed
    await session.close()


async def test_never_sent_and_no_answer_are_told_apart(server: Server) -> None:
    async with make_client(Egress(LOOPBACK)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.post(server.url("/drop"))
