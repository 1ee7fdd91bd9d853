"""The fixture ``contract``: checks what a service sends, and what its stand-in answers, against the provider's specification.

A node with a faked answer; every request it sends is checked, and so is the answer, unless ``answers=False``::

    async def test_post(context: MakeContext, contract: Contracts) -> None:
        discord_api = contract("discord")    # skips, with the reason, where the specifications are not there
        ctx = context(discord_api.wrap(answer), service=discord.service)
        await discord.post_message.fn(ctx, ...)

A whole story through the engine; every call that reached the stand-in's API is checked, and what it answered by itself (faults,
OAuth and other addresses that the specification does not have a base for are left out)::

    async with serving(standin := discord_standin.make()) as environment:
        ...
        contract("discord").audit(standin)

Names are those of ``specs/derived``: twitch, discord, github, slack, telegram, spotify, notion, mastodon, gmail, calendar, sheets,
drive, youtube; and linear (GraphQL) and bluesky (lexicons).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import httpx
import pytest

from tests.contract import answers, graphql, lexicons, requests
from tests.contract.documents import SHARED, SPECS, ContractBroken
from tests.providers.base import StandIn

Answer: TypeAlias = Callable[[httpx.Request], httpx.Response]


class Contract:
    """One provider's rules. ``beyond`` lists calls (``POST /v1/new``) that its specification leaves out; they are not checked."""

    def __init__(self, name: str, beyond: Sequence[str] = ()) -> None:
        if name not in ("linear", "bluesky") and not (SPECS / f"derived/{name}.strict.openapi.json").exists():
            raise ValueError(f"there is no specification {name!r} in {SPECS / 'derived'}")
        self.name = name
        self.beyond = frozenset(beyond)
        self.checked = 0
        """How many requests were checked: a test that checked none proves nothing."""

    def request(self, request: httpx.Request) -> None:
        """Raise ContractBroken unless the request keeps to the specification."""
        if self._known(request):
            if self.name == "linear":
                graphql.check_request(self.name, request)
            elif self.name == "bluesky":
                lexicons.check_request(request)
            else:
                requests.check_request(self.name, request)
            self.checked += 1

    def answer(self, response: httpx.Response) -> None:
        """Raise ContractBroken unless the provider could have answered so; ``response.request`` says to what."""
        if self._known(response.request):
            answers.check_answer(self.name, response)

    def wrap(self, answer: Answer, *, answers: bool = True) -> Answer:
        """A handler for httpx.MockTransport that checks each request before, and each answer after, ``answer`` makes it."""

        def checked(request: httpx.Request) -> httpx.Response:
            self.request(request)
            response = answer(request)
            response.request = request
            if answers and response.is_success:
                self.answer(response)
            return response

        return checked

    async def hook(self, request: httpx.Request) -> None:
        """For ``event_hooks={"request": [contract.hook]}``."""
        await request.aread()
        self.request(request)

    def audit(self, standin: StandIn) -> None:
        """Check every call of the stand-in's API so far, and every answer that it gave by itself to a good one.

        Raises: ContractBroken, also when there was nothing to check.
        """
        for call in standin.calls:
            if not call.path.startswith(standin.base_path) or call.path in standin.own_paths:
                continue
            query = f"?{call.request.url.query}" if call.request.url.query else ""
            url = f"https://{self.name}.test{call.raw_path}{query}"
            request = httpx.Request(call.method, url, headers=call.headers, content=call.body)
            status, headers, body = call.answer or (200, {}, b"")
            if call.fault or status not in (400, 422):  # what was refused as malformed was sent so on purpose
                self.request(request)
            if call.answer and not call.fault:
                self.answer(httpx.Response(status, headers=headers, content=body, request=request))
        if not self.checked:
            raise ContractBroken(f"{self.name}: the stand-in was asked nothing that could be checked")

    def _known(self, request: httpx.Request) -> bool:
        return f"{request.method} {requests.path_of(request)}" not in self.beyond


Contracts: TypeAlias = Callable[..., Contract]
Hook: TypeAlias = Callable[[httpx.Request], Awaitable[None]]


@pytest.fixture
def contract() -> Contracts:
    """``contract("twitch")``; skips where the specifications are not beside the repository."""

    def of(name: str, *, beyond: Sequence[str] = ()) -> Any:
        if not SPECS.is_dir():
            pytest.skip(f"the providers' specifications are not there: {SHARED} is missing")
        return Contract(name, beyond)

    return of
