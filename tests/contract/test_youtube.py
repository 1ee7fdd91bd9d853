"""Everything that YouTube's nodes send, and all that their stand-in answers, is as Google's description of the API says."""

import json

import httpx
import pytest

from area.nodes import sdk, youtube
from area.nodes.youtube import reactions, watching, websub
from area.nodes.youtube.provider import channel_choices, playlist_choices, whose
from tests.contract.documents import SHARED, SPECS, ContractBroken
from tests.contract.plugin import Contracts
from tests.nodes.google_wire import look, wired
from tests.providers.youtube import CHANNEL, MIX, PLACE, YouTube

BEYOND = (f"GET {PLACE}/playlists",)
"""The strict description lists what is asked most; playlists are in the full one."""
SAMPLES = SPECS / "samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the samples are not there: {SHARED} is missing")


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("youtube", beyond=BEYOND), YouTube()
    ctx = wired(youtube.service, there)
    key = there.put("Été 🎧")
    await whose(ctx)
    await look(ctx, watching.liked_video, watching.Likes())
    there.page = 1
    for _ in range(2):
        there.like(key)
    assert len(await look(ctx, watching.liked_video, watching.Likes())) == 2
    (video,) = watching.new_video.fn(
        watching.Where(channel=CHANNEL), sdk.WebhookDelivery("POST", raw=there.feed(key).encode())
    )
    assert watching.new_video.enricher
    assert (await watching.new_video.enricher(ctx, video)).duration == 3812
    for node, given in (
        (reactions.add_to_playlist, reactions.Adding(video=key, playlist=MIX)),
        (reactions.comment, reactions.NewComment(video=key, text="Là ✨")),
    ):
        done = await node.fn(ctx, given)
        assert node.reconciler
        assert await node.reconciler(ctx, given) == done
    await reactions.like.fn(ctx, reactions.Which(video=key))
    assert len(await channel_choices(ctx, {})) == len(await playlist_choices(ctx, {})) == 1
    described.audit(there)
    assert described.checked > 10


async def test_choices_of_playlists_are_answered_as_the_full_description_says(contract: Contracts) -> None:
    described, there = contract("youtube"), YouTube()
    assert await playlist_choices(wired(youtube.service, there), {}) == [sdk.Choice(MIX, "Mix 🎧")]
    (call,) = there.asked("GET", f"{PLACE}/playlists")
    assert call.query == {"part": "snippet", "mine": "true", "maxResults": "50"}
    assert call.answer
    status, headers, body = call.answer
    request = httpx.Request("GET", f"https://youtube.test{call.raw_path}")
    described.answer(httpx.Response(status, headers=headers, content=body, request=request))
    wrong = httpx.Response(status, headers=headers, json={"items": [{"id": 5}]}, request=request)
    with pytest.raises(ContractBroken):
        described.answer(wrong)


@needs_samples
def test_real_deliveries_are_read() -> None:
    where = watching.Where(channel="UCx")
    raw = (SAMPLES / "feeds/youtube_websub.xml").read_bytes()
    (video,) = watching.new_video.fn(where, sdk.WebhookDelivery("POST", raw=raw))
    assert (video.id, video.title, video.channel) == ("VIDEO_ID", "Video title", "Channel title")
    assert video.published_at.isoformat() == "2026-11-23T19:00:57+00:00"
    raw = (SAMPLES / "feeds/youtube_websub_deleted.xml").read_bytes()
    assert watching.new_video.fn(where, sdk.WebhookDelivery("POST", raw=raw)) == []
    with pytest.raises(sdk.Rejected, match="document type"):
        list(websub.entries((SAMPLES / "feeds/entity_bomb.xml").read_bytes()))


@needs_samples
def test_websub_s_vectors_are_judged_as_they_say() -> None:
    vectors = json.loads((SAMPLES / "signature_vectors.json").read_text())
    found = [one for one in vectors if one["provider"] == "websub"]
    assert found
    for one in found:
        headers = {name.lower(): value for name, value in one["headers"].items()}
        delivery = sdk.WebhookDelivery("POST", headers, raw=one["body"].encode())
        assert one["valid"]
        websub.SIGNED.check(one["secret"], delivery)
        with pytest.raises(sdk.BadSignature):
            websub.SIGNED.check(one["secret"] + "x", delivery)
