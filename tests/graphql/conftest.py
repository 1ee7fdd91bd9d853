"""What the API's tests share: the application on a real platform, and signed-in clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from area.app.embedded import free_port
from area.app.serve import Server
from area.app.server import make_app
from area.auth.service import AuthService
from area.core.ids import new_id
from area.engine.platform import Platform
from area.graphql.app import GraphQLApp, make_graphql_app

CREATE = "mutation($input: CreateAreaInput!) { createArea(input: $input) { area { id version } errors { code path } } }"
LOG_AREA = {
    "name": "Greet",
    "action": {"action": "webhook.received"},
    "reactions": [{"reaction": "flow.log", "config": {"message": "Hello"}}],
}


class Client:
    """One user's requests."""

    def __init__(self, http: httpx.AsyncClient, token: str | None, user_id: UUID | None) -> None:
        self.http = http
        self.token = token
        self.user_id = user_id

    async def post(self, query: str, **variables: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        answer = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        found: dict[str, Any] = answer.json()
        return found

    async def data(self, query: str, **variables: Any) -> Any:
        answer = await self.post(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def create_area(self, **changed: Any) -> str:
        made = (await self.data(CREATE, input=LOG_AREA | changed))["createArea"]
        assert made["errors"] == []
        area_id: str = made["area"]["id"]
        return area_id


@pytest.fixture
def auth(platform: Platform) -> AuthService:
    return AuthService(platform.db, platform.settings)


@pytest.fixture
def app(platform: Platform, auth: AuthService) -> GraphQLApp:
    return make_graphql_app(platform, auth)


@pytest.fixture
async def anonymous(app: GraphQLApp) -> AsyncIterator[Client]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as http:
        yield Client(http, None, None)


async def signed_up(anonymous: Client, auth: AuthService) -> Client:
    session = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    return Client(anonymous.http, session.access_token, session.user_id)


@pytest.fixture
async def ada(anonymous: Client, auth: AuthService) -> Client:
    return await signed_up(anonymous, auth)


@pytest.fixture
async def eve(anonymous: Client, auth: AuthService) -> Client:
    return await signed_up(anonymous, auth)


@asynccontextmanager
async def served(platform: Platform, auth: AuthService | None = None) -> AsyncIterator[str]:
    """The whole API on a loopback port, by the server that production has; its address, http://…"""
    settings = platform.settings.model_copy(update={"port": free_port()})
    server = Server(make_app(platform, auth), settings)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{settings.port}"
    finally:
        server.should_exit = True
        await task
