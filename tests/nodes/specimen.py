"""A service with an account that keeps every promise; `break_` makes it break one."""

from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.nodes import sdk


class Note(sdk.Outputs):
    """A note."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="Its id.", examples=["n1"])
    text: str = Field(title="Text", description="What it says.", examples=["hello"])


class Notes(sdk.Outputs):
    """What the provider lists."""

    data: list[Note] = Field(title="Notes", description="Newest first.", examples=[[]])


async def boards(ctx: sdk.Context, so_far: dict[str, Any]) -> list[sdk.Choice]:
    """The account's boards."""
    found = Notes.model_validate((await ctx.http.get("/boards")).json())
    return [sdk.Choice(one.id, one.text) for one in found.data]


class Typed(sdk.Inputs):
    """Which board, by an id that one has to know."""

    board: str = Field(title="Board", description="Its id.", examples=["b1"])


class Board(sdk.Inputs):
    """Which board, of one's own."""

    board: Annotated[str, sdk.Choices(boards)] = Field(title="Board", description="Its id.", examples=["b1"])


def make(*, judge: Any = None, reply: Any = None, list_: Any = boards, where_: Any = Board) -> sdk.Service:
    """The service; ``judge``, ``reply`` (its reaction), ``list_`` (its choices), ``where_`` (its inputs) replace what is right."""

    class NewNote(sdk.Inputs):
        """What to write."""

        board: Annotated[str, sdk.Choices(list_)] = Field(title="Board", description="Its id.", examples=["b1"])
        text: str = Field(title="Text", description="What it says.", examples=["hello"])

    service = sdk.Service(
        key="acme",
        name="Acme",
        description="Keeps notes.",
        base_url="https://api.acme.example/v1",
        auth=sdk.OAuth2(authorize_url="https://acme.example/authorize", token_url="https://acme.example/token"),
        judge=judge,
    )

    @service.identify
    async def me(ctx: sdk.Context) -> sdk.Profile:
        found = Note.model_validate((await ctx.http.get("/me")).json())
        return sdk.Profile(found.id, found.text)

    @service.poll("New note", every=timedelta(minutes=5))
    async def new_note(ctx: sdk.Context, where: where_) -> list[Note]:
        """Fires for each note on a board."""
        return Notes.model_validate((await ctx.http.get(f"/boards/{where.board}/notes")).json()).data

    @service.webhook("Note changed", verify=sdk.HmacSha256("x-acme-signature"))
    def changed(where: where_, delivery: sdk.WebhookDelivery) -> Note | None:
        """Fires when a note changes."""
        return Note.model_validate(delivery.body)

    @changed.subscribe
    async def subscribe(ctx: sdk.Context, where: where_, hook: sdk.Hook) -> str:
        answer = await ctx.http.post("/hooks", json={"url": hook.url, "secret": hook.secret, "board": where.board})
        return Note.model_validate(answer.json()).id

    @changed.unsubscribe
    async def unsubscribe(ctx: sdk.Context, where: where_, remote_id: str) -> None:
        await ctx.http.delete(f"/hooks/{remote_id}")

    @changed.is_subscribed
    async def is_subscribed(ctx: sdk.Context, where: where_, remote_id: str) -> bool:
        return Note.model_validate((await ctx.http.get(f"/hooks/{remote_id}")).json()).id == remote_id

    @service.reaction("Write a note", idempotent=False)
    async def write(ctx: sdk.Context, note: NewNote) -> Note:
        """Writes a note on a board."""
        if reply:
            return await reply(ctx, note)  # type: ignore[no-any-return]
        answer = await ctx.http.post(f"/boards/{note.board}/notes", json={"text": note.text})
        return Note.model_validate(answer.json())

    return service


async def swallows(ctx: sdk.Context, note: Any) -> Note:
    """Every failure is a success."""
    with suppress(sdk.NodeError):
        await ctx.http.post("/notes", json={"text": note.text})
    return Note(id="n1", text=note.text)


async def trusts(ctx: sdk.Context, note: Any) -> Note:
    """The answer is taken apart unseen."""
    body = (await ctx.http.post("/notes", json={"text": note.text})).json()
    return Note(id=body["data"][0]["id"], text=note.text)


async def repeats(ctx: sdk.Context, note: Any) -> Note:
    """A call that may have happened is called one that did not."""
    try:
        return Note.model_validate((await ctx.http.post("/notes", json={"text": note.text})).json())
    except (httpx.TransportError, ValueError) as error:
        raise sdk.Unavailable("try again") from error


async def sleeps_in(ctx: sdk.Context, note: Any) -> Note:
    """The wait that was asked for is not kept."""
    try:
        return await trusts(ctx, note)
    except sdk.Throttled as error:
        raise sdk.Throttled(error.message, 3600) from error


async def never_asks(ctx: sdk.Context, note: Any) -> Note:
    """It refuses its own example."""
    raise sdk.Rejected("no")


def judge_trusts(response: httpx.Response) -> None:
    """A judge that thinks every answer is JSON with an error in it."""
    if response.json()["error"]["code"] == 429:
        raise sdk.Throttled("wait", shape_wait(response))


def shape_wait(response: httpx.Response) -> float:
    """Seconds, from a header that is not always a number."""
    return float(response.headers["retry-after"])
