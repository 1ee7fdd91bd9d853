"""Everything that Gmail's nodes send, and all that their stand-in answers, is as Google's description of the API says."""

import json

import pytest

from area.nodes import gmail, sdk
from area.nodes.gmail import events, reactions
from area.nodes.gmail.provider import label_choices
from tests.contract.documents import SHARED, SPECS
from tests.contract.plugin import Contracts
from tests.nodes.google_wire import look, refusal, wired
from tests.providers.gmail import ME, Gmail

BEYOND = (f"GET {ME}/drafts", f"GET {ME}/drafts/r1")
"""Left out of the strict description, which has the calls of a first draft of these nodes."""
LETTER = reactions.Letter(to="Zoë <zoe@example.com>", subject="Ça va? 🎉", text="Grüße", html="<p>Grüße</p>")


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("gmail", beyond=BEYOND), Gmail()
    ctx = wired(gmail.service, there)
    for node, where in (
        (events.new_message, events.Search(query="")),
        (events.new_message, events.Search(query="from:grace subject:frage")),
        (events.new_attachment, events.Search()),
        (events.label_added, events.Labelling(label="STARRED")),
    ):
        ctx.cursor, there.page = None, 1
        await look(ctx, node, where)
        keys = [there.receive(f"Frage {n}", files={"ü.pdf": b"%PDF"}, labels=["INBOX", "STARRED"]) for n in range(2)]
        assert len(await look(ctx, node, where)) == 2
        there.page = 500
    for reaction, given in (
        (reactions.send, LETTER),
        (reactions.reply, reactions.Reply(mail_id=keys[0], text="Ja", to_all=True)),
        (reactions.draft, LETTER),
    ):
        ctx.idempotency_key = reaction.key
        done = await reaction.fn(ctx, given)
        assert reaction.reconciler
        assert await reaction.reconciler(ctx, given) == done
    await reactions.modify_labels.fn(ctx, reactions.Labels(mail_id=keys[0], add=["Label_7"], remove=["INBOX"]))
    await reactions.mark_read.fn(ctx, reactions.Which(mail_id=keys[0]))
    assert len(await label_choices(ctx, {})) == 6
    described.audit(there)
    assert described.checked > 30


@pytest.mark.skipif(not SPECS.is_dir(), reason=f"the providers' samples are not there: {SHARED} is missing")
def test_samples_of_tokens_and_limits_are_read() -> None:
    tokens = json.loads((SPECS / "samples/oauth_token_responses.json").read_text())
    first = sdk.read_grant(tokens["google_first_consent"])
    assert (first.refresh_token, first.expires_in) == ("1//x", 3599)
    again = next(body for name, body in tokens.items() if name.startswith("google_refresh"))
    assert sdk.read_grant(again).refresh_token is None, "the first one stays good"
    limits = json.loads((SPECS / "samples/rate_limit_responses.json").read_text())
    for one in (limits[name] for name in limits if name.startswith("google")):
        response = refusal(one["status"], "")
        response._content = json.dumps(one["body"]).encode()
        gmail.service.judge(response)  # type: ignore[misc] - it has one
        with pytest.raises(sdk.Throttled):
            sdk.map_response(response)
