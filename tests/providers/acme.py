"""Acme, a provider of the tests alone: its stand-in and its service, for what connected accounts have to go through."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from area.core.ids import new_id
from area.nodes import sdk
from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, User


class Acme(StandIn):
    """Notes, seen and written by users; keys for those who have no wish to consent."""

    base_path = "/v1"

    def __init__(self, dialect: Dialect | None = None, **more: Any) -> None:
        # Identities of their own: tests share a database, in which an account may be known already.
        users = [User(str(new_id()), "ada", "Ada Lovelace"), User(str(new_id()), "grace", "Grace Hopper")]
        super().__init__("acme", dialect or Dialect(rotates=True, client_credentials=True), users=users, **more)
        self.notes: list[dict[str, Any]] = []
        self.keys: dict[str, User] = {"key-of-ada": self.users[0], "key-of-grace": self.users[1]}
        self.route("GET", "/v1/me", self.me)
        self.route("GET", "/v1/notes", self.listed, scopes=("notes:read",))
        self.route("POST", "/v1/notes", self.create, scopes=("notes:write",))
        self.route("GET", "/v1/boards", self.boards)
        self.route("GET", "/v1/app", self.app, auth="app")
        self.route("GET", "/v1/keyed/me", self.keyed, auth="none")

    async def me(self, call: Call) -> Any:
        return {"id": call.user.id, "login": call.user.login}

    async def listed(self, call: Call) -> Any:
        return {"notes": self.notes}

    async def create(self, call: Call) -> Any:
        self.notes.append({"id": str(len(self.notes) + 1), "by": call.user.login, **call.json})
        return 201, self.notes[-1]

    async def boards(self, call: Call) -> Any:
        return {
            "boards": [
                {"id": f"{call.user.login}-1", "name": "First"},
                {"id": f"{call.user.login}-2", "name": "Zweite"},
            ]
        }

    async def app(self, call: Call) -> Any:
        return {"app": True}

    async def keyed(self, call: Call) -> Any:
        user = self.keys.get(call.headers.get("x-acme-key", ""))
        return {"id": user.id, "login": user.login} if user else self.refuse(401, "unauthorized", "No such key.")


class Form(sdk.Inputs):
    """What a key consists of."""

    key: Annotated[str, sdk.Secret] = Field(title="Key", description="The key.", min_length=3, examples=["key-1"])
    region: str = Field("eu", title="Region", description="Where it is.", examples=["eu"])


class Which(sdk.Inputs):
    """Which notes."""

    board: Annotated[str, sdk.Choices(lambda ctx, so_far: boards(ctx, so_far))] = Field(
        "any", title="Board", description="The board.", examples=["ada-1"]
    )


class Note(sdk.Outputs):
    """A note."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="Its id.", examples=["1"])
    text: str = Field(title="Text", description="What it says.", examples=["hello"])


class NewNote(sdk.Inputs):
    """What to write."""

    text: str = Field(title="Text", description="What it says.", examples=["hello"])
    board: Annotated[str, sdk.Choices(lambda ctx, so_far: boards(ctx, so_far))] = Field(
        "any", title="Board", description="The board.", examples=["ada-1"]
    )


async def boards(ctx: sdk.Context, so_far: dict[str, Any]) -> list[sdk.Choice]:
    """The boards of the account."""
    found = (await ctx.http.get("/boards")).json()["boards"]
    prefix = str(so_far.get("text", ""))
    return [sdk.Choice(one["id"], prefix + one["name"]) for one in found]


def make_service(**auth: Any) -> sdk.Service:
    """The service, its OAuth client changed by ``auth``."""
    oauth = {
        "authorize_url": "http://unset.test/authorize",
        "token_url": "http://unset.test/token",
        "revoke_url": "http://unset.test/revoke",
        "scopes": ("profile",),
        "pkce": True,
        "validate_every": timedelta(hours=1),
        **auth,
    }
    service = sdk.Service(
        key="acme",
        name="Acme",
        description="Notes.",
        base_url="http://unset.test/v1",
        auth=sdk.OAuth2(**oauth),
        key_auth=sdk.Key(fields=Form, authorise=_by_key, help="In the cellar."),
        app_auth=sdk.ClientCredentials(),
        needs=("client_id", "client_secret"),
    )

    @service.identify
    async def who(ctx: sdk.Context) -> sdk.Profile:
        found = (await ctx.http.get("/keyed/me" if ctx.credentials else "/me")).json()
        return sdk.Profile(
            found["id"], found["login"], f"https://acme.test/{found['login']}.png", {"login": found["login"]}
        )

    @service.validate
    async def validate(ctx: sdk.Context) -> None:
        await ctx.http.get("/me")

    @service.poll("New note", every=timedelta(minutes=1), scopes=("notes:read",))
    async def new_note(ctx: sdk.Context, where: Which) -> list[Note]:
        """Fires for each note."""
        return [Note.model_validate(note) for note in (await ctx.http.get("/notes")).json()["notes"]]

    @service.reaction("Write a note", idempotent=False, scopes=("notes:write",))
    async def write_note(ctx: sdk.Context, note: NewNote) -> Note:
        """Writes a note."""
        return Note.model_validate((await ctx.http.post("/notes", json={"text": note.text})).json())

    @service.reaction("Ask as the app", idempotent=True, account="none")
    async def ask_app(ctx: sdk.Context, note: Which) -> sdk.Outputs:
        """Asks as the app."""
        await ctx.app_http.get("/app")
        return sdk.Outputs()

    return service


def _by_key(request: Any, credentials: Any) -> None:
    request.headers["x-acme-key"] = credentials["key"]
