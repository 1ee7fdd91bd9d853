"""Telegram's Bot API: bots by their token in the path, one webhook a bot, messages, polls and buttons."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import User
from tests.providers.signing import shared_token

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
OTHER = "220201543:BBHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
GROUP, LEFT, MIGRATED = -1001234567890, -1009999999999, -4001
HEADER = "X-Telegram-Bot-Api-Secret-Token"
MOMENT = 1763892672
GIFTS = dict.fromkeys(
    ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
)


class Telegram(StandIn):
    """Two bots in one group; ``said`` is what they wrote, by message id."""

    def __init__(self) -> None:
        bots = [User("110201543", "area_bot", "Area"), User("220201543", "other_bot", "Other")]
        super().__init__("telegram", users=bots)
        self.bots = dict(zip((TOKEN, OTHER), bots, strict=True))
        self.webhooks: dict[str, dict[str, Any]] = {}
        """By bot, what setWebhook was given."""
        self.said: dict[int, dict[str, Any]] = {}
        self.presses: dict[str, str | None] = {}
        """Button presses to what they were answered; None: not yet."""
        self.updates = 10_000
        methods = {
            "getMe": self.get_me, "setWebhook": self.set_webhook, "deleteWebhook": self.delete_webhook,
            "getWebhookInfo": self.webhook_info, "getChat": self.get_chat, "sendMessage": self.send,
            "sendPhoto": self.send, "sendPoll": self.send, "editMessageText": self.edit,
            "answerCallbackQuery": self.answer,
        }  # fmt: skip
        for name, method in methods.items():
            self.route("POST", "/bot{token}/" + name, method)

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """The token is in the path."""
        return None if call.parameters["token"] in self.bots else self.refuse(401, "", "Unauthorized")

    def refuse(self, status: int, code: str, words: str) -> Response:
        """As Telegram does."""
        return JSONResponse({"ok": False, "error_code": status, "description": words}, status)

    async def get_me(self, call: Call) -> Any:
        return _ok(self._as_user(self._bot(call)))

    async def set_webhook(self, call: Call) -> Any:
        self.webhooks[self._bot(call).id] = call.json
        return _ok(True)

    async def delete_webhook(self, call: Call) -> Any:
        self.webhooks.pop(self._bot(call).id, None)
        return _ok(True)

    async def webhook_info(self, call: Call) -> Any:
        found = self.webhooks.get(self._bot(call).id, {})
        told = {"url": found.get("url", ""), "has_custom_certificate": False, "pending_update_count": 0}
        return _ok(told)

    async def get_chat(self, call: Call) -> Any:
        return _ok(
            {
                "id": GROUP,
                "type": "supergroup",
                "title": "Türsteher",
                "accent_color_id": 1,
                "max_reaction_count": 11,
                "accepted_gift_types": GIFTS,
            }
        )

    async def send(self, call: Call) -> Any:
        given = call.json
        if given["chat_id"] == LEFT:
            return self.refuse(403, "", "Forbidden: bot was kicked from the supergroup chat")
        if given["chat_id"] == MIGRATED:
            refused = {
                "ok": False,
                "error_code": 400,
                "description": "Bad Request: group chat was upgraded to a supergroup chat",
            }
            return JSONResponse({**refused, "parameters": {"migrate_to_chat_id": GROUP}}, 400)
        message = {
            "message_id": 1366 + len(self.said), "date": MOMENT, "from": self._as_user(self._bot(call)),
            "chat": {"id": GROUP, "type": "supergroup", "title": "Türsteher"},
        }  # fmt: skip
        message |= {name: given[name] for name in ("text", "caption") if name in given}
        self.said[message["message_id"]] = message
        return _ok(message)

    async def edit(self, call: Call) -> Any:
        message = self.said.get(call.json["message_id"])
        if message is None:
            return self.refuse(400, "", "Bad Request: message to edit not found")
        if message.get("text") == call.json["text"]:
            return self.refuse(
                400, "", "Bad Request: message is not modified: specified new message content is the same"
            )
        message["text"] = call.json["text"]
        return _ok(message)

    async def answer(self, call: Call) -> Any:
        if self.presses.get(call.json["callback_query_id"], "") is not None:
            return self.refuse(
                400, "", "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        self.presses[call.json["callback_query_id"]] = call.json.get("text", "")
        return _ok(True)

    def texts(self) -> list[Any]:
        """What the bots' messages say now."""
        return [message.get("text") for message in self.said.values()]

    async def write(self, text: str, *, to: str = "110201543", **more: Any) -> dict[str, Any]:
        """Somebody writes in the group; the bot hears it."""
        message = {
            "message_id": 5, "date": MOMENT, "text": text,
            "from": {"id": 1111111, "is_bot": False, "first_name": "Zoë", "last_name": "Ö", "username": "zoe"},
            "chat": {"id": GROUP, "type": "supergroup", "title": "Türsteher"}, **more,
        }  # fmt: skip
        return await self.update(to, message=message)

    async def press(self, data: str, *, to: str = "110201543") -> dict[str, Any]:
        """Somebody presses a button under the bot's last message."""
        query = f"press-{len(self.presses)}"
        self.presses[query] = None
        given = {
            "id": query, "data": data, "chat_instance": "42a",
            "from": {"id": 1111111, "is_bot": False, "first_name": "Zoë"},
            "message": list(self.said.values())[-1],
        }  # fmt: skip
        return await self.update(to, callback_query=given)

    async def update(self, bot: str, **given: Any) -> dict[str, Any]:
        """Deliver a new update to a bot's webhook, and give it."""
        self.updates += 1
        made = {"update_id": self.updates, **given}
        await self.send_update(bot, made)
        return made

    async def send_update(self, bot: str, update: dict[str, Any], **more: Any) -> None:
        """Deliver it, where the bot has a webhook that asks for it."""
        hook = self.webhooks.get(bot)
        if hook is None or not set(update) & set(hook["allowed_updates"]):
            return
        secret = more.pop("secret", hook["secret_token"])
        await self.deliver(hook["url"], update, sign=shared_token(secret, HEADER), **more)

    @property
    def hint(self) -> str:
        """The bots' tokens."""
        return f"Connect a bot by its token, {TOKEN} or {OTHER}."

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What a person can make happen."""
        return {"Zoë writes": lambda: self.write("Grüße 🎉"), "Zoë writes /start": lambda: self.write("/start")}

    def _bot(self, call: Call) -> User:
        return self.bots[call.parameters["token"]]

    def _as_user(self, bot: User) -> dict[str, Any]:
        return {"id": int(bot.id), "is_bot": True, "first_name": bot.name, "username": bot.login}


def _ok(result: Any) -> dict[str, Any]:
    return {"ok": True, "result": result}


def make() -> StandIn:
    """With nothing said."""
    return Telegram()
