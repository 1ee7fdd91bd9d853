"""The HTTP routes, from outside, on a real platform."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID
from xml.etree import ElementTree

import httpx
import pytest

from area.app.server import make_app
from area.core.settings import Settings
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.intake import Intake
from area.engine.platform import Platform
from area.nodes import sdk

EVENTS = "SELECT payload FROM events WHERE hook_id = $1"


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(platform), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as opened:
        yield opened


@pytest.fixture
async def hook(platform: Platform, user: UUID) -> tuple[UUID, str]:
    """The hook of a webhook AREA: id and token."""
    reactions = [ReactionDraft("flow.log", {"message": "Hello {{ trigger.body.name }}"})]
    area = await create_area(platform, user, AreaDraft("Greet", "webhook.received", {}, reactions))
    token: str = await platform.db.pool.fetchval("SELECT token FROM hooks WHERE id = $1", area.hook_id)
    assert area.hook_id is not None
    return area.hook_id, token


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    detail: str = body["detail"]
    return detail


async def test_delivery_is_accepted_and_durable(
    client: httpx.AsyncClient, platform: Platform, hook: tuple[UUID, str]
) -> None:
    answer = await client.post(f"/hooks/{hook[1]}", json={"name": "Ada"})

    assert answer.status_code == 202
    body = answer.json()
    assert (body["runs"], body["duplicate"]) == (1, False)
    payload = await platform.db.pool.fetchval("SELECT payload FROM events WHERE id = $1", UUID(body["event"]))
    assert payload["body"] == {"name": "Ada"}


async def test_repeated_delivery_is_a_duplicate(client: httpx.AsyncClient, hook: tuple[UUID, str]) -> None:
    headers = {"idempotency-key": "one"}
    first = await client.post(f"/hooks/{hook[1]}", json={}, headers=headers)

    second = await client.post(f"/hooks/{hook[1]}", json={}, headers=headers)

    assert first.json()["duplicate"] is False
    assert second.status_code == 202
    assert second.json() == {"event": first.json()["event"], "runs": 0, "duplicate": True}


@pytest.mark.parametrize(
    ("sent", "content_type", "body"),
    [
        (b"", "", None),
        (b"a=1&b=2&b=3", "application/x-www-form-urlencoded", {"a": "1", "b": ["2", "3"]}),
        (b"plain <words>", "text/plain", "plain <words>"),
        (b'{"x": 1}', "application/cloudevents+json; charset=utf-8", {"x": 1}),
    ],
)
async def test_bodies_are_parsed_by_content_type(
    client: httpx.AsyncClient, platform: Platform, hook: tuple[UUID, str], sent: bytes, content_type: str, body: object
) -> None:
    headers = {"content-type": content_type} if content_type else {}

    answer = await client.post(f"/hooks/{hook[1]}", content=sent, headers=headers)

    assert answer.status_code == 202
    assert (await platform.db.pool.fetchval(EVENTS, hook[0]))["body"] == body


async def test_multipart_fields_are_parsed(
    client: httpx.AsyncClient, platform: Platform, hook: tuple[UUID, str]
) -> None:
    file = ("note.txt", b"12345", "text/plain")

    answer = await client.post(f"/hooks/{hook[1]}", data={"name": "Ada"}, files={"file": file})

    assert answer.status_code == 202
    assert (await platform.db.pool.fetchval(EVENTS, hook[0]))["body"] == {
        "name": "Ada",
        "file": {"filename": "note.txt", "contentType": "text/plain", "size": 5},
    }


async def test_an_action_that_is_not_installed_any_more_keeps_its_sender_trying(
    client: httpx.AsyncClient, platform: Platform, hook: tuple[UUID, str]
) -> None:
    await platform.db.pool.execute("UPDATE hooks SET action = 'webhook.recieved' WHERE id = $1", hook[0])

    answer = await client.post(f"/hooks/{hook[1]}", json={"name": "Ada"})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert problem(answer) == (
        "There is no action 'webhook.recieved'. Did you mean 'webhook.received'? "
        "This server is without it at present and accepted nothing; send this again."
    )
    assert await platform.db.pool.fetchval("SELECT count(*) FROM events WHERE hook_id = $1", hook[0]) == 0


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        (b'{"broken"', "application/json"),
        (b"no boundary", "multipart/form-data"),
    ],
)
async def test_unreadable_bodies_are_refused(
    client: httpx.AsyncClient, platform: Platform, hook: tuple[UUID, str], sent: bytes, content_type: str
) -> None:
    answer = await client.post(f"/hooks/{hook[1]}", content=sent, headers={"content-type": content_type})

    assert answer.status_code == 400
    assert problem(answer).startswith("The body ")
    assert await platform.db.pool.fetchval(EVENTS, hook[0]) is None


async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, platform: Platform) -> None:
    limit = platform.settings.body_limit

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(limit // 65536 + 1):
            yield b"x" * 65536

    announced = await client.post("/hooks/any", content=b"x" * (limit + 1))
    streamed = await client.post("/hooks/any", content=chunks())

    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert str(limit) in problem(announced)


async def test_unknown_token_and_wrong_method(client: httpx.AsyncClient) -> None:
    unknown = await client.post("/hooks/nothing", json={})
    unasked = await client.get("/hooks/nothing")
    wrong = await client.delete("/hooks/nothing")

    assert (unknown.status_code, unasked.status_code) == (404, 404)
    assert problem(unknown) == "No hook has this address; copy it again from its AREA."
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


class Refusing(Intake):
    """An intake that only raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def deliver(self, *_: object) -> None:  # type: ignore[override]
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionRefusedError(), 503),
        (TimeoutError(), 503),
        (sdk.BadSignature("Wrong."), 401),
        (RuntimeError("x"), 500),
    ],
)
async def test_failures_of_intake_have_their_status(platform: Platform, error: Exception, status: int) -> None:
    app = make_app(replace(platform, intake=Refusing(error)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://area.test") as client:
        answer = await client.post("/hooks/token", json={})

    assert answer.status_code == status
    assert "RuntimeError" not in problem(answer)
    assert answer.headers.get("retry-after") == ("5" if status == 503 else None)


async def test_health_readiness_and_metrics(client: httpx.AsyncClient) -> None:
    ready = await client.get("/readyz")

    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert ready.json() == {"status": "ok", "checks": {"postgres": "ok", "migrations": "ok", "redis": "ok"}}
    assert "area_events_total" in (await client.get("/metrics")).text


async def test_not_ready_names_what_is_missing(platform: Platform) -> None:
    class Gone:
        async def ping(self) -> None:
            raise ConnectionRefusedError

    app = make_app(replace(platform, redis=Gone()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://area.test") as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert problem(answer) == "Not ready: redis out of reach (ConnectionRefusedError)"


async def test_page_and_its_assets_are_ours(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql", headers={"accept": "text/html"})

    assert page.status_code == 200
    assert "https://" not in page.text
    assert "script-src 'self';" in page.headers["content-security-policy"]
    for path in {part.split('"')[0] for part in page.text.split('="') if part.startswith("/assets/")}:
        assert (await client.get(path)).status_code == 200
    assert (await client.get("/assets/graphiql/secret")).status_code == 404
    assert (await client.get("/assets/graphiql/..%2f..%2fserver.py")).status_code == 404


async def test_unknown_paths_are_problems_with_security_headers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing/here")
    service = await client.post("/webhooks/github", json={})

    assert (answer.status_code, service.status_code) == (404, 404)
    assert problem(answer) == "Nothing is at /nothing/here; the API is at /graphql."
    assert "webhookUrl" in problem(service)
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_demo_routes_exist_only_in_development(platform: Platform, settings: Settings) -> None:
    production = replace(platform, settings=settings.model_copy(update={"dev": False}))
    found = []
    for opened in (platform, production):
        transport = httpx.ASGITransport(make_app(opened))
        async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as client:
            echo = await client.post("/demo/echo", json={"hello": "Ada"})
            feed = await client.get("/demo/feed.xml")
            session = await client.post("/demo/session")
            found.append((echo.status_code, feed.status_code, session.status_code))

    assert found == [(200, 200, 403), (404, 404, 404)]


async def test_cors_answers_only_the_origins_set(platform: Platform, settings: Settings) -> None:
    open_to = replace(platform, settings=settings.model_copy(update={"cors_origins": ["https://ui.example"]}))
    headers = {"access-control-request-method": "POST"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(open_to)), base_url="http://area.test"
    ) as client:
        friend = await client.options("/graphql", headers=headers | {"origin": "https://ui.example"})
        stranger = await client.options("/graphql", headers=headers | {"origin": "https://evil.example"})

    assert friend.headers["access-control-allow-origin"] == "https://ui.example"
    assert "access-control-allow-origin" not in stranger.headers


async def test_each_service_has_a_picture(client: httpx.AsyncClient, platform: Platform) -> None:
    for key, service in platform.registry.services.items():
        answer = await client.get(f"/services/{key}/logo.svg")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert ElementTree.fromstring(answer.text).attrib["aria-label"] == service.name
    assert (await client.get("/services/nothing/logo.svg")).status_code == 404
