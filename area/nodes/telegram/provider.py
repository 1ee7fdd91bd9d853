"""The service itself: a bot, what Telegram's answers mean, and its one webhook. API: https://core.telegram.org/bots/api"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import read

UPDATES = ["message", "channel_post", "callback_query"]
"""Kinds of update that a bot's webhook asks for: those that some action reads."""
HEADER = "x-telegram-bot-api-secret-token"


class Bot(sdk.Inputs):
    """A bot of one's own."""

    token: Annotated[str, sdk.Secret] = Field(
        title="Bot token",
        description="What BotFather gave you when you made the bot.",
        pattern=r"^\d{3,20}:[A-Za-z0-9_-]{20,100}$",
        examples=["110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"],
    )


def authorise(request: httpx.Request, credentials: Mapping[str, Any]) -> None:
    """The token is part of the path, before the method: https://core.telegram.org/bots/api#making-requests"""
    base, _, method = request.url.path.rpartition("/")
    base = re.sub(r"/bot\d+:[^/]*$", "", base)  # of an older token, where the request is sent again
    request.url = request.url.copy_with(path=f"{base}/bot{credentials['token']}/{method}")


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at Telegram; waits are in the body, where the common parser finds them."""
    status, said = response.status_code, words(response)
    if status < 400:
        if _body(response).get("ok") is not False:
            return
        status = _status_in(response)
    if status == 429 or status >= 500 or not said:
        return
    moved = parameters(response).get("migrate_to_chat_id")
    if moved is not None:
        raise sdk.Rejected(
            f"The group has become a supergroup: use the chat id {moved} from now on.", code="CHAT_MOVED"
        )
    if status == 401 or (status == 404 and said == "Not Found"):
        raise sdk.Reconnect("Telegram does not know this bot's token any more: connect the bot again.")
    if status == 403:
        hint = "The bot may not write there: a person has to write to it first, and a group or channel to admit it."
        raise sdk.Rejected(f"{hint} Telegram says: {said}", code="FORBIDDEN")
    if status == 409:
        raise sdk.Rejected(f"Something else receives this bot's messages: {said}", code="CONFLICT")
    raise sdk.Rejected(f"Telegram cannot accept this: {said}", code="REFUSED")


def _status_in(response: httpx.Response) -> int:
    """The status of a refusal that came with 200. Raises: Throttled, Unavailable, as that status would."""
    said, named = words(response), _body(response).get("error_code")
    status = named if isinstance(named, int) else 400
    if status == 429:
        wait = parameters(response).get("retry_after")
        raise sdk.Throttled(f"Telegram says: {said}", retry_after=wait if isinstance(wait, int | float) else 30.0)
    if status >= 500:
        raise sdk.Unavailable(f"Telegram says: {said}")
    return status


def words(response: httpx.Response) -> str:
    """Telegram's own words in an error."""
    return " ".join(str(_body(response).get("description") or "").split())[:300]


def parameters(response: httpx.Response) -> dict[str, Any]:
    """What an error adds: https://core.telegram.org/bots/api#responseparameters"""
    found = _body(response).get("parameters")
    return found if isinstance(found, dict) else {}


def _body(response: httpx.Response) -> dict[str, Any]:
    found = read(response)
    return found if isinstance(found, dict) else {}


service = sdk.Service(
    key="telegram",
    name="Telegram",
    description="Reacts to what is written to a bot, and writes, shows pictures and asks polls as that bot.",
    base_url="https://api.telegram.org",
    docs_url="https://core.telegram.org/bots/api",
    key_auth=sdk.Key(
        fields=Bot,
        authorise=authorise,
        help="Write /newbot to BotFather in Telegram; it answers with the token.",
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Which bot it is."""
    bot = await call(ctx, "getMe")
    if not isinstance(bot, dict) or "id" not in bot:
        raise sdk.Unavailable("Telegram does not say which bot this is.")
    name = str(bot.get("username") or "")
    return sdk.Profile(str(bot["id"]), f"@{name}" if name else str(bot.get("first_name")), facts={"username": name})


async def call(ctx: sdk.Context, method: str, **asked: Any) -> Any:
    """The ``result`` of a method. Raises: Unknown when the answer holds none, though the call may have happened."""
    response = await ctx.http.post(
        f"/{method}", json={name: value for name, value in asked.items() if value is not None}
    )
    body = _body(response)
    if body.get("ok") is not True or "result" not in body:
        raise sdk.Unknown(f"Telegram answered {response.status_code} with something else than its API promises.")
    return body["result"]


@dataclass(frozen=True, slots=True)
class OfBot:
    """The secret of each bot's webhook follows from the service's and the bot, whom the address names; no bot proves another's."""

    def check(self, secret: str, delivery: sdk.WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless the delivery is that of the bot it says it is."""
        sdk.SharedToken(HEADER).check(secret_of(secret, delivery.query.get("bot", "")), delivery, now)


def secret_of(secret: str, bot: str) -> str:
    """The ``secret_token`` of a bot's webhook: 64 hex characters."""
    return hmac.new(secret.encode(), f"bot:{bot}".encode(), hashlib.sha256).hexdigest()


async def subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook) -> sdk.Subscription:
    """A bot has one webhook, which all its hooks share; setting it again changes nothing."""
    bot = ctx.account.external_id
    url = f"{hook.url}?{_address(ctx.account)}"
    await call(ctx, "setWebhook", url=url, secret_token=secret_of(hook.secret, bot), allowed_updates=UPDATES)
    return sdk.Subscription(f"bot:{bot}")


async def unsubscribe(ctx: sdk.Context, where: Any, remote_id: str) -> None:
    """Nobody needs the bot's messages any more; those that wait are kept by Telegram for a day."""
    if ctx.has_account:
        await call(ctx, "deleteWebhook")


async def is_subscribed(ctx: sdk.Context, where: Any, remote_id: str) -> bool:
    """Whether the bot's webhook is still ours."""
    found = await call(ctx, "getWebhookInfo")
    return isinstance(found, dict) and str(found.get("url") or "").endswith(f"?{_address(ctx.account)}")


def _address(account: sdk.Account) -> str:
    """Whose updates come there: the bot's id, and its name, by which commands in groups say whom they are for."""
    return str(httpx.QueryParams({"bot": account.external_id, "name": account.facts.get("username") or ""}))
