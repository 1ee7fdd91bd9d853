"""What Twitch tells of streams and viewers, as an AREA sees it."""

from typing import Any

import pytest

from area.nodes import sdk
from area.nodes.twitch import service
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.twitch_wire import CHANNEL, ONLINE, OUTPUT, VIEWER, action, fires, items, message, told, wired

# Streams


def test_a_stream_goes_online() -> None:
    assert fires("stream_online", ONLINE) == {
        **OUTPUT,
        "id": "9001",
        "type": "live",
        "started_at": "2026-11-23T10:11:12.123456Z",
        "title": "",
        "game": "",
        "game_id": "",
        "tags": [],
        "language": "",
        "thumbnail_url": "https://static-cdn.jtvnw.net/previews-ttv/live_user_cooler_user-1280x720.jpg",
    }


async def enriched(ctx: FakeContext) -> dict[str, Any]:
    node = action("stream_online")
    assert node.enricher
    event = node.fn(node.inputs(), message("notification", told("stream.online", {}, ONLINE)))
    fuller: sdk.Outputs = await node.enricher(ctx, event)
    return fuller.model_dump(mode="json")


STREAM = {
    "id": "9001",
    "title": "Día 3: ロボット 🤖 <b>& more</b>",
    "game_name": "Science & Technology",
    "game_id": "509670",
    "tags": ["English", "ロボット"],
    "language": "es",
    "thumbnail_url": "https://cdn.test/live-{width}x{height}.jpg",
}


async def test_title_and_game_are_read_of_the_stream(context: MakeContext) -> None:
    ctx, wire = wired(context, {"GET /streams": items({**STREAM, "id": "older", "title": "old"}, STREAM)})
    got = await enriched(ctx)
    assert (got["title"], got["game"], got["game_id"]) == (STREAM["title"], "Science & Technology", "509670")
    assert (got["tags"], got["language"]) == (["English", "ロボット"], "es")
    assert got["thumbnail_url"] == "https://cdn.test/live-1280x720.jpg"
    assert (got["id"], got["broadcaster_login"]) == ("9001", "cooler_user")
    assert wire.told == [("GET", "/streams?user_id=1337", None)]


@pytest.mark.parametrize("streams", [[], [{**STREAM, "id": "8999"}]], ids=["not listed yet", "the last one still"])
async def test_title_and_game_are_read_of_the_channel_meanwhile(
    context: MakeContext, streams: list[dict[str, Any]]
) -> None:
    channel = {"title": "New title", "game_name": "Tetris", "game_id": "7", "tags": [], "broadcaster_language": "en"}
    ctx, wire = wired(context, {"GET /streams": items(*streams), "GET /channels": items(channel)})
    got = await enriched(ctx)
    assert (got["title"], got["game"], got["game_id"], got["language"]) == ("New title", "Tetris", "7", "en")
    assert got["thumbnail_url"].endswith("live_user_cooler_user-1280x720.jpg")
    assert wire.told[1] == ("GET", "/channels?broadcaster_id=1337", None)


async def test_a_channel_that_says_nothing_leaves_title_and_game_empty(context: MakeContext) -> None:
    ctx, _ = wired(context, {"GET /streams": items(), "GET /channels": items({"title": None, "tags": None})})
    got = await enriched(ctx)
    assert (got["title"], got["game"], got["tags"]) == ("", "", [])


def test_a_stream_goes_offline() -> None:
    assert fires("stream_offline", CHANNEL) == {**OUTPUT, "ended_at": "2026-03-01T12:00:00.123456Z"}


def test_a_channel_is_updated() -> None:
    event = {
        **CHANNEL,
        "title": "Best Stream Ever ✨",
        "language": "en",
        "category_id": "12453",
        "category_name": "Grand Theft Auto",
        "content_classification_labels": ["MatureGame"],
    }
    assert fires("channel_updated", event) == {
        **OUTPUT,
        "title": "Best Stream Ever ✨",
        "game": "Grand Theft Auto",
        "game_id": "12453",
        "language": "en",
        "content_labels": ["MatureGame"],
    }


def test_a_raid() -> None:
    sides = {
        f"{side}_broadcaster_user_{part}": value
        for side, values in {
            "from": ("1234", "cool_user", "Cool_User"),
            "to": ("1337", "cooler_user", "Cooler_User"),
        }.items()
        for part, value in zip(("id", "login", "name"), values, strict=True)
    }
    assert fires("raid", {**sides, "viewers": 9001}) == {
        "from_id": "1234",
        "from_login": "cool_user",
        "from_name": "Cool_User",
        "from_url": "https://www.twitch.tv/cool_user",
        "to_id": "1337",
        "to_login": "cooler_user",
        "to_name": "Cooler_User",
        "to_url": "https://www.twitch.tv/cooler_user",
        "viewers": 9001,
    }


# Viewers


def test_a_follower() -> None:
    event = {**CHANNEL, **VIEWER, "followed_at": "2026-11-23T18:16:11.17106713Z"}
    assert fires("new_follower", event) == {**OUTPUT, **VIEWER, "followed_at": "2026-11-23T18:16:11.171067Z"}


def test_a_subscription() -> None:
    event = {**CHANNEL, **VIEWER, "tier": "3000", "is_gift": True}
    assert fires("new_subscription", event) == {
        **OUTPUT,
        **VIEWER,
        "tier": "3000",
        "tier_name": "Tier 3",
        "is_gift": True,
    }


def test_gifts_of_somebody_who_stays_anonymous() -> None:
    nobody = {"user_id": None, "user_login": None, "user_name": None}
    event = {**CHANNEL, **nobody, "tier": "1000", "total": 2, "cumulative_total": None, "is_anonymous": True}
    assert fires("subscription_gift", event) == {
        **OUTPUT,
        **nobody,
        "user_name": "Anonymous",
        "tier": "1000",
        "tier_name": "Tier 1",
        "total": 2,
        "cumulative_total": None,
        "is_anonymous": True,
    }


def test_a_resubscription() -> None:
    text = {"text": "Love the stream! FevziGG 💜", "emotes": [{"begin": 23, "end": 30, "id": "302976485"}]}
    event = {**CHANNEL, **VIEWER, "tier": "2000", "message": text}
    event |= {"cumulative_months": 15, "streak_months": None, "duration_months": 6}
    assert fires("resubscription", event) == {
        **OUTPUT,
        **VIEWER,
        "tier": "2000",
        "tier_name": "Tier 2",
        "message": "Love the stream! FevziGG 💜",
        "cumulative_months": 15,
        "streak_months": None,
        "duration_months": 6,
    }


def test_an_anonymous_cheer() -> None:
    nobody = {"user_id": None, "user_login": None, "user_name": None}
    event = {**CHANNEL, **nobody, "is_anonymous": True, "message": "pogchamp", "bits": 1000}
    got = fires("cheer", event)
    assert got == {
        **OUTPUT,
        **nobody,
        "user_name": "Anonymous",
        "bits": 1000,
        "message": "pogchamp",
        "is_anonymous": True,
    }


REDEMPTION = {
    **CHANNEL,
    **VIEWER,
    "id": "17fa2df1",
    "user_input": "pogchamp",
    "status": "unfulfilled",
    "reward": {"id": "r1", "title": "Hydrate 💧", "cost": 100, "prompt": "reward prompt"},
    "redeemed_at": "2026-07-15T17:16:03.17106713Z",
}


def test_a_reward_redeemed() -> None:
    assert fires("reward_redeemed", REDEMPTION) == {
        **OUTPUT,
        **VIEWER,
        "id": "17fa2df1",
        "reward_id": "r1",
        "reward_title": "Hydrate 💧",
        "reward_cost": 100,
        "reward_prompt": "reward prompt",
        "user_input": "pogchamp",
        "status": "unfulfilled",
        "redeemed_at": "2026-07-15T17:16:03.171067Z",
    }
    assert fires("reward_redeemed", REDEMPTION, reward="r1") is not None
    assert fires("reward_redeemed", REDEMPTION, reward="r2") is None


@pytest.mark.parametrize(
    ("name", "event", "says"),
    [
        ("stream_online", {**ONLINE, "started_at": "soon"}, "started_at cannot be read"),
        ("stream_online", {}, "broadcaster_id"),
        ("cheer", {**CHANNEL, "bits": "many"}, "bits cannot be read"),
        ("reward_redeemed", {**REDEMPTION, "reward": "r1"}, "reward_cost, reward_id, reward_title"),
        ("resubscription", {**CHANNEL, **VIEWER, "tier": 1, "message": "x"}, "cumulative_months, tier"),
    ],
)
def test_an_event_that_is_not_as_documented_is_refused(name: str, event: dict[str, Any], says: str) -> None:
    with pytest.raises(sdk.Rejected, match=f"not as Twitch documents it: .*{says}"):
        fires(name, event)
    node = action(name)
    with pytest.raises(sdk.Rejected, match="no event"):
        node.fn(node.inputs(), message("notification", {"subscription": {}}))


def test_every_delivery_is_known_by_its_message_id() -> None:
    assert {node.dedupe for node in service.actions.values()} == {"Twitch-Eventsub-Message-Id"}
