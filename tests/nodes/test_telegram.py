"""Telegram: what a bot hears, whose it is, and what it says; Telegram's errors and what they mean."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.telegram import events, provider, reactions
from tests.nodes.conftest import FakeContext
from tests.nodes.telegram_wire import wired
from tests.providers.calls import Fault
from tests.providers.telegram import GROUP, LEFT, MIGRATED, MOMENT, Telegram

HOOK = sdk.Hook("h1", "https://area.example/webhooks/telegram", "ab" * 32)
ADA = {"id": 1111111, "is_bot": False, "first_name": "Zoë", "last_name": "Ö", "username": "zoe"}
CHAT = {"id": GROUP, "type": "supergroup", "title": "Türsteher"}


@pytest.fixture
def there() -> Telegram:
    return Telegram()


@pytest.fixture
def ctx(there: Telegram) -> FakeContext:
    return wired(there)


def update(kind: str = "message", **found: Any) -> sdk.WebhookDelivery:
    """An update of our bot."""
    body = {"update_id": 10000, kind: {"message_id": 7, "date": MOMENT, "from": ADA, "chat": CHAT, **found}}
    query = {"bot": "110201543", "name": "area_bot"}
    return sdk.WebhookDelivery("POST", {}, query, b"", body, "application/json")


# What it hears


def test_a_message_is_told_whole() -> None:
    heard = events.message.fn(events.Texts(chat_id=GROUP, contains="GRÜSSE"), update(text="Viele Grüße 🎉"))
    assert heard.model_dump() == {
        "update_id": 10000,
        "chat_id": GROUP,
        "chat": "Türsteher",
        "user_id": 1111111,
        "user": "Zoë Ö",
        "username": "zoe",
        "message_id": 7,
        "text": "Viele Grüße 🎉",
        "sent_at": datetime(2025, 11, 23, 10, 11, 12, tzinfo=UTC),
    }


def test_a_channel_has_no_author_and_a_picture_its_caption() -> None:
    given = update("channel_post", caption="Die Tür")
    del given.body["channel_post"]["from"]
    heard = events.message.fn(events.Texts(), given)
    assert (heard.text, heard.user_id, heard.user) == ("Die Tür", None, "")


@pytest.mark.parametrize(
    "found",
    [
        {"text": "/start"},
        {"text": ""},
        {"sticker": {}},
        {"text": "other"},
        {"text": "help", "from": {**ADA, "is_bot": True}},
        {"text": "help", "chat": {**CHAT, "id": 5}},
    ],
)
def test_what_was_not_asked_for_fires_nothing(found: dict[str, Any]) -> None:
    assert events.message.fn(events.Texts(chat_id=GROUP, contains="help"), update(**found)) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/start", ("start", "")),
        ("/Start@AREA_bot door-7", ("Start", "door-7")),
        ("/start\nétage 2\nlinks", ("start", "étage 2\nlinks")),
        ("/start@other_bot door-7", None),
        ("/started", None),
        ("/start-now", None),
        ("say /start", None),
    ],
)
def test_a_command_is_for_this_bot_and_has_arguments(text: str, wanted: tuple[str, str] | None) -> None:
    heard = events.command.fn(events.Commands(command="/start"), update(text=text))
    assert (heard and (heard.command, heard.arguments)) == wanted


def test_a_button_says_which_it_was_even_when_its_message_is_gone() -> None:
    pressed = {"id": "q1", "from": ADA, "data": "yes", "chat_instance": "42a"}
    given = sdk.WebhookDelivery("POST", body={"update_id": 10002, "callback_query": pressed})
    heard = events.button.fn(events.Buttons(data="yes"), given)
    assert (heard.query_id, heard.data, heard.user, heard.chat_id, heard.message_id) == (
        "q1",
        "yes",
        "Zoë Ö",
        1111111,
        None,
    )
    assert events.button.fn(events.Buttons(data="no"), given) is None
    assert events.button.fn(events.Buttons(chat_id=GROUP), given) is None


@pytest.mark.parametrize("body", [None, [], "x", {}, {"update_id": 1}, {"update_id": 1, "message": "x"}])
def test_nonsense_is_routed_nowhere(body: Any) -> None:
    assert events.route.route(sdk.WebhookDelivery("POST", query={"bot": "1"}, body=body)) == []


# Its webhook


async def test_a_bot_has_one_webhook_with_a_secret_of_its_own(there: Telegram, ctx: FakeContext) -> None:
    made = await provider.subscribe(ctx, events.Texts(), HOOK)
    secret = provider.secret_of(HOOK.secret, "110201543")
    url = f"{HOOK.url}?bot=110201543&name=area_bot"
    assert made == sdk.Subscription("bot:110201543")
    assert there.webhooks == {"110201543": {"url": url, "secret_token": secret, "allowed_updates": provider.UPDATES}}
    assert await provider.is_subscribed(ctx, events.Texts(), made.remote_id) is True
    there.webhooks["110201543"]["url"] = "https://elsewhere.example/hook"
    assert await provider.is_subscribed(ctx, events.Texts(), made.remote_id) is False
    await provider.unsubscribe(ctx, events.Texts(), made.remote_id)
    assert there.webhooks == {}


def test_no_bot_proves_another_ones_updates() -> None:
    own = {provider.HEADER: provider.secret_of(HOOK.secret, "1")}
    provider.OfBot().check(HOOK.secret, sdk.WebhookDelivery("POST", own, {"bot": "1"}))
    for headers, bot in ((own, "2"), (own, ""), ({}, "1"), ({provider.HEADER: HOOK.secret}, "1")):
        with pytest.raises(sdk.BadSignature):
            provider.OfBot().check(HOOK.secret, sdk.WebhookDelivery("POST", headers, {"bot": bot}))


# What it says


async def test_a_message_with_buttons_is_an_answer_and_is_edited(there: Telegram, ctx: FakeContext) -> None:
    asked = reactions.NewMessage.model_validate(
        {"chat_id": GROUP, "text": "Tür auf? 🚪", "reply_to": 7, "silent": True, "format": "html",
         "buttons": [{"text": "Ja", "data": "é" * 32}]}
    )  # fmt: skip
    said = await reactions.send_message.fn(ctx, asked)
    assert (said.message_id, said.chat_id) == (1366, GROUP)
    assert there.calls[-1].json == {
        "chat_id": GROUP,
        "text": "Tür auf? 🚪",
        "parse_mode": "HTML",
        "reply_parameters": {"message_id": 7},
        "reply_markup": {"inline_keyboard": [[{"text": "Ja", "callback_data": "é" * 32}]]},
        "disable_notification": True,
    }
    edit = reactions.Edit(chat_id="@doors", message_id=1366, text="Offen ✓")
    first = await reactions.edit_message.fn(ctx, edit)
    assert await reactions.edit_message.fn(ctx, edit) == first, "a repeated edit has nothing left to do"
    assert (first.chat_id, there.texts()) == (GROUP, ["Offen ✓"])
    with pytest.raises(sdk.Rejected, match="message to edit not found"):
        await reactions.edit_message.fn(ctx, reactions.Edit(chat_id="@doors", message_id=1, text="x"))


async def test_a_button_whose_value_is_too_long_in_bytes_is_told_before(there: Telegram, ctx: FakeContext) -> None:
    long = reactions.Choice(text="Ja", data="é" * 33)
    with pytest.raises(sdk.Rejected, match="'Ja' has more than 64 bytes"):
        await reactions.send_message.fn(ctx, reactions.NewMessage(chat_id="1", text="x", buttons=[long]))
    assert there.calls == []


async def test_a_photo_a_poll_and_the_answer_to_a_button(there: Telegram, ctx: FakeContext) -> None:
    photo = reactions.NewPhoto.model_validate(
        {"chat_id": GROUP, "photo": "https://example.com/é.jpg", "caption": "Tür"}
    )
    await reactions.send_photo.fn(ctx, photo)
    assert there.calls[-1].json["caption"] == "Tür"
    poll = reactions.NewPoll(chat_id=str(GROUP), question="Öffnen?", options=["Ja", "Nein"], several=True)
    await reactions.send_poll.fn(ctx, poll)
    asked = there.calls[-1].json
    assert (asked["options"], asked["allows_multiple_answers"]) == ([{"text": "Ja"}, {"text": "Nein"}], True)
    there.presses["q"] = None
    assert (await reactions.answer_button.fn(ctx, reactions.Press(query_id="q", text="Danke"))).answered is True
    assert there.presses == {"q": "Danke"}
    with pytest.raises(sdk.Rejected, match="query is too old"):
        await reactions.answer_button.fn(ctx, reactions.Press(query_id="q"))


@pytest.mark.parametrize("bad", [{"chat_id": "@a b"}, {"chat_id": "1" * 21}, {"text": ""}, {"text": "x" * 4097}])
def test_what_telegram_would_refuse_is_refused_before(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reactions.NewMessage.model_validate({"chat_id": "1", "text": "x"} | bad)


# Its errors


@pytest.mark.parametrize(
    ("chat", "code", "words"),
    [(LEFT, "FORBIDDEN", "was kicked"), (MIGRATED, "CHAT_MOVED", str(GROUP))],
)
async def test_a_chat_that_is_closed_or_has_moved(ctx: FakeContext, chat: int, code: str, words: str) -> None:
    with pytest.raises(sdk.Rejected, match=words) as caught:
        await reactions.send_message.fn(ctx, reactions.NewMessage(chat_id=str(chat), text="x"))
    assert caught.value.code == code


async def test_a_token_that_is_gone_asks_for_the_bot_again(there: Telegram) -> None:
    with pytest.raises(sdk.Reconnect) as caught:
        await provider.identify(wired(there, "110201543:" + "x" * 35))
    assert "110201543:" not in str(caught.value)


async def test_waits_are_in_the_body(there: Telegram, ctx: FakeContext) -> None:
    told = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 35}}
    there.next(Fault(status=429, body=told))
    with pytest.raises(sdk.Throttled) as caught:
        await provider.identify(ctx)
    assert caught.value.retry_after == 35


@pytest.mark.parametrize(
    "body", ["<html>", {"ok": False}, {"ok": True}, {"ok": True, "result": {"message_id": "x"}}, []]
)
async def test_an_answer_that_says_nothing_may_have_sent_it(there: Telegram, ctx: FakeContext, body: Any) -> None:
    there.next(Fault(body=body))
    with pytest.raises(sdk.Unknown):
        await reactions.send_message.fn(ctx, reactions.NewMessage(chat_id="1", text="x"))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}, sdk.Rejected),
        ({"ok": False, "error_code": 401, "description": "Unauthorized"}, sdk.Reconnect),
        ({"ok": False, "error_code": 429, "description": "x", "parameters": {"retry_after": 7}}, sdk.Throttled),
        ({"ok": False, "error_code": 502, "description": "Bad Gateway"}, sdk.Unavailable),
    ],
)
async def test_a_refusal_within_a_200_is_as_sure_as_any_other(
    there: Telegram, ctx: FakeContext, body: Any, error: type[sdk.NodeError]
) -> None:
    there.next(Fault(body=body))
    with pytest.raises(error) as caught:
        await reactions.send_message.fn(ctx, reactions.NewMessage(chat_id=str(GROUP), text="x"))
    assert getattr(caught.value, "retry_after", 7) == 7


def test_a_request_that_is_sent_again_has_one_token() -> None:
    request = httpx.Request("POST", "https://telegram.test/sendMessage")
    for token in ("1:old", "1:new"):
        provider.authorise(request, {"token": token})
    assert request.url.path == "/bot1:new/sendMessage"


@pytest.mark.parametrize("odd", [{"chat": "x"}, {"from": ["x"]}, {"chat": None, "from": None}])
def test_an_update_of_an_odd_shape_breaks_nothing(odd: dict[str, Any]) -> None:
    assert events.message.fn(events.Texts(), update(text="Grüße", **odd)).text == "Grüße"


def test_an_update_without_its_number_is_refused_as_what_it_is() -> None:
    given = update(text="x")
    del given.body["update_id"]
    with pytest.raises(ValidationError):  # which the endpoint answers with 400
        events.message.fn(events.Texts(), given)
