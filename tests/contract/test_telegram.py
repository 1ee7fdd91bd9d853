"""Everything that Telegram's nodes send, and all that their stand-in answers, is as Telegram's description of the API says."""

import json
from typing import Any

import pytest

from area.nodes import sdk
from area.nodes.telegram import events, provider, reactions
from tests.contract.documents import SPECS
from tests.contract.plugin import Contracts
from tests.nodes.telegram_wire import wired
from tests.providers.telegram import GROUP, Telegram

HOOK = sdk.Hook("h1", "https://area.example/webhooks/telegram", "ab" * 32)


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("telegram"), Telegram()
    ctx = wired(there)
    await provider.identify(ctx)
    await provider.subscribe(ctx, events.Texts(), HOOK)
    await provider.is_subscribed(ctx, events.Texts(), "bot:110201543")
    there.presses["q"] = None
    to: dict[str, Any] = {"chat_id": GROUP}
    for node, given in (
        (reactions.send_message, {**to, "text": "é", "reply_to": 7, "silent": True, "format": "html",
                                  "buttons": [{"text": "Ja", "data": "ja"}]}),
        (reactions.send_photo, {**to, "photo": "https://example.com/door.jpg", "caption": "é"}),
        (reactions.edit_message, {**to, "message_id": 1366, "text": "ê"}),
        (reactions.edit_message, {**to, "message_id": 1366, "text": "ê"}),
        (reactions.send_poll, {**to, "question": "é?", "options": ["Ja", "Nein"]}),
        (reactions.answer_button, {"query_id": "q", "text": "Danke"}),
    ):  # fmt: skip
        await node.fn(ctx, node.inputs.model_validate(given))
    await provider.unsubscribe(ctx, events.Texts(), "bot:110201543")
    described.audit(there)
    assert described.checked == 10


def test_real_updates_are_heard() -> None:
    if not SPECS.is_dir():
        pytest.skip(f"the providers' samples are not there: {SPECS} is missing")
    told = json.loads((SPECS / "samples/telegram_updates.json").read_text())
    command, post, press = (
        sdk.WebhookDelivery("POST", query={"bot": "1"}, body=update) for update in told if "update_id" in update
    )
    heard = events.command.fn(events.Commands(command="start"), command)
    assert (heard.arguments, heard.chat_id) == ("café", -1001234567890)
    assert events.message.fn(events.Texts(), post).text == "post"
    assert events.button.fn(events.Buttons(), press).data == "x"
    assert [events.route.route(one) for one in (command, post, press)] == [["1:message"], ["1:message"], ["1:button"]]
