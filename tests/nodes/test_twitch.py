"""Twitch: accounts, what its answers mean, and what an AREA does there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from area.nodes import sdk
from area.nodes.twitch import service
from area.nodes.twitch.provider import authorise, read_grant
from tests.nodes.conftest import NOON, MakeContext
from tests.nodes.twitch_wire import Answer, action, items, react, reaction, refusal, wired

# Accounts


def test_the_client_id_goes_with_every_bearer_token() -> None:
    request = httpx.Request("GET", "https://api.twitch.tv/helix/users")
    authorise(request, "t0k3n", {"client_id": "cid"})
    assert (request.headers["authorization"], request.headers["client-id"]) == ("Bearer t0k3n", "cid")


def test_validation_has_an_authorisation_of_its_own() -> None:
    request = httpx.Request("GET", "https://id.twitch.tv/oauth2/validate")
    authorise(request, "t0k3n", {"client_id": "cid"})
    assert request.headers["authorization"] == "OAuth t0k3n"
    assert "client-id" not in request.headers


def test_tokens_are_refreshed_when_refused_and_validated_hourly() -> None:
    assert service.auth
    assert (service.auth.refresh_ahead, service.auth.validate_every) == (timedelta(0), timedelta(hours=1))
    assert not service.auth.pkce
    assert service.auth.scopes == ()


def test_scopes_come_as_a_list() -> None:
    body = {
        "access_token": "a",
        "refresh_token": "r",
        "expires_in": 14124,
        "scope": ["bits:read"],
        "token_type": "bearer",
    }
    assert read_grant(body) == sdk.Grant("a", "r", 14124.0, frozenset({"bits:read"}))


async def test_an_account_is_known_by_its_id(context: MakeContext) -> None:
    user = {
        "id": "1337",
        "login": "cooler_user",
        "display_name": "Cooler_User",
        "profile_image_url": "https://p.test/1.png",
    }
    ctx, wire = wired(context, {"GET /users": items(user)})
    assert service.identifier
    profile = await service.identifier(ctx)
    assert profile == sdk.Profile("1337", "Cooler_User", "https://p.test/1.png", {"login": "cooler_user"})
    assert wire.told == [("GET", "/users", None)]


async def test_an_account_that_twitch_does_not_name_is_refused(context: MakeContext) -> None:
    ctx, _ = wired(context, {"GET /users": items()})
    assert service.identifier
    with pytest.raises(sdk.Rejected, match="whose account this is"):
        await service.identifier(ctx)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, "https://id.twitch.tv/oauth2/validate"),
        ({"token_url": "http://127.0.0.1:9/oauth2/token"}, "http://127.0.0.1:9/oauth2/validate"),
    ],
)
async def test_validation_asks_where_tokens_come_from(
    context: MakeContext, settings: dict[str, str], asked: str
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> Answer:
        seen.append(str(request.url))
        return Answer(200, json={"client_id": "cid", "login": "cooler_user", "scopes": [], "user_id": "1337"})

    assert service.validator
    await service.validator(context(answer, service=service, settings=settings))
    assert seen == [asked]


async def test_a_dead_token_means_reconnect(context: MakeContext) -> None:
    ctx = context(lambda _: refusal(401, "invalid access token"), service=service)
    assert service.validator
    with pytest.raises(sdk.Reconnect, match="invalid access token"):
        await service.validator(ctx)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "Bad Request", "status": 400, "message": "Invalid refresh token"}, "invalid_grant"),
        ({"status": 400, "message": "Invalid authorization code"}, "invalid_grant"),
        ({"status": 403, "message": "invalid client secret"}, "invalid_client"),
        ({"status": 500, "message": "internal server error"}, "temporarily_unavailable"),
        ({}, "temporarily_unavailable"),
        (["no object"], "invalid_response"),
        ({"access_token": ""}, "invalid_response"),
    ],
)
def test_refusals_of_tokens_are_told_apart_by_their_words(body: Any, code: str) -> None:
    with pytest.raises(sdk.GrantRefused) as caught:
        read_grant(body)
    assert caught.value.error == code


# What answers mean


@pytest.mark.parametrize(
    ("remaining", "wait"), [("0", 60.0), ("", 60.0), ("799", 5.0)], ids=["bucket empty", "unsaid", "another limit"]
)
async def test_patience_is_as_long_as_the_bucket_says(context: MakeContext, remaining: str, wait: float) -> None:
    reset = str(int(datetime.now(UTC).timestamp()) + 60)
    headers = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": remaining, "Ratelimit-Reset": reset}
    ctx, _ = wired(context, {"GET /games": refusal(429, "Too Many Requests", **headers)})
    with pytest.raises(sdk.Throttled, match="Too Many Requests") as caught:
        await react(ctx, "update_channel", game="Tetris")
    assert wait - 2 <= caught.value.retry_after <= wait


@pytest.mark.parametrize("reset", ["", "soon", "99999999999999999999", "1"])
async def test_a_wrong_reset_stops_nothing_for_long(context: MakeContext, reset: str) -> None:
    ctx, _ = wired(
        context, {"GET /games": refusal(429, "slow", **{"Ratelimit-Remaining": "0", "Ratelimit-Reset": reset})}
    )
    with pytest.raises(sdk.Throttled) as caught:
        await react(ctx, "update_channel", game="Tetris")
    assert 1 <= caught.value.retry_after <= 3600


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, html="<h1>Maintenance</h1>"),
        Answer(200, json={"error": "Internal"}),
        Answer(200, json={"data": None}),
        Answer(200, json={"data": ["x"]}),
        Answer(200, json=[]),
        Answer(200, content=b'{"data": [{"id": 1'),
    ],
    ids=["html", "error inside", "null", "no objects", "a list", "cut short"],
)
async def test_an_answer_that_is_none_is_no_success(context: MakeContext, answer: Answer) -> None:
    ctx, _ = wired(context, {"POST /chat/messages": answer, "GET /games": answer})
    with pytest.raises(sdk.Unknown, match="may have happened"):
        await react(ctx, "send_chat_message", message="hi")
    with pytest.raises(sdk.Unavailable, match=r"api\.twitch\.tv answered 200 with something else"):
        await react(ctx, "update_channel", game="Tetris")


async def test_a_redirect_is_not_followed(context: MakeContext) -> None:
    ctx, wire = wired(
        context, {"POST /chat/announcements": Answer(302, headers={"Location": "http://169.254.169.254/"})}
    )
    with pytest.raises(sdk.Rejected, match="a redirect"):
        await react(ctx, "send_announcement", message="hi")
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    ("call", "inputs", "status", "says"),
    [
        ("POST /chat/messages", {"message": "hi"}, 403, "may not write in this chat"),
        ("POST /chat/messages", {"message": "hi"}, 422, "too long"),
        ("POST /clips", {}, 403, "may not make clips"),
        ("POST /clips", {}, 404, "is not live"),
        ("POST /streams/markers", {}, 403, "editors"),
        ("POST /streams/markers", {}, 404, "needs a live stream"),
    ],
)
async def test_refusals_say_what_to_do(
    context: MakeContext, call: str, inputs: dict[str, Any], status: int, says: str
) -> None:
    names = {"POST /chat/messages": "send_chat_message", "POST /clips": "create_clip"}
    ctx, _ = wired(context, {call: refusal(status, "the words of Twitch")})
    with pytest.raises(sdk.Rejected, match=f"{says}.*the words of Twitch"):
        await react(ctx, names.get(call, "create_marker"), **inputs)


async def test_a_missing_scope_is_told_and_leaves_the_account_alone(context: MakeContext) -> None:
    ctx, _ = wired(context, {"POST /clips": refusal(401, "Missing scope: clips:edit")})
    with pytest.raises(sdk.Rejected, match="Missing scope: clips:edit") as caught:
        await react(ctx, "create_clip")
    assert caught.value.code == "MISSING_SCOPE"


# Whose channel


@pytest.mark.parametrize(
    ("given", "login"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("TwitchDev", "twitchdev"),
        (" @TwitchDev ", "twitchdev"),
        ("https://www.twitch.tv/TwitchDev/", "twitchdev"),
        ("m.twitch.tv/twitchdev", "twitchdev"),
    ],
)
def test_a_channel_is_named_in_many_ways(given: str | None, login: str | None) -> None:
    assert action("stream_online").inputs(channel=given).channel == login


@pytest.mark.parametrize("given", ["a b", "x" * 26, "https://youtube.com/x", "twitch.tv/", "é", "a?b", "a\nb"])
def test_what_is_no_channel_is_refused_when_saved(given: str) -> None:
    with pytest.raises(ValueError, match="channel"):
        action("stream_online").inputs(channel=given)


async def test_choices_are_ones_own_channel_and_those_that_may_be_seen(context: MakeContext) -> None:
    choices = next(
        mark
        for mark in action("stream_online").inputs.model_fields["channel"].metadata
        if isinstance(mark, sdk.Choices)
    )
    ctx, wire = wired(context, {})
    assert await choices.fn(ctx, {}) == [sdk.Choice("cooler_user", "Cooler_User (your own)")]
    followed = {"broadcaster_id": "2", "broadcaster_login": "ada", "broadcaster_name": "Ada"}
    seeing = sdk.Account("a1", "1337", "Cooler_User", frozenset({"user:read:follows"}), {"login": "cooler_user"})
    ctx, wire = wired(context, {"GET /channels/followed": items(followed)}, connected=seeing)
    assert await choices.fn(ctx, {}) == [sdk.Choice("cooler_user", "Cooler_User (your own)"), sdk.Choice("ada", "Ada")]
    assert wire.told == [("GET", "/channels/followed?user_id=1337&first=100", None)]


async def test_choices_of_rewards(context: MakeContext) -> None:
    choices = next(
        mark
        for mark in action("reward_redeemed").inputs.model_fields["reward"].metadata
        if isinstance(mark, sdk.Choices)
    )
    ctx, wire = wired(
        context, {"GET /channel_points/custom_rewards": items({"id": "r1", "title": "Hydrate! 💧", "cost": 100})}
    )
    assert await choices.fn(ctx, {}) == [sdk.Choice("r1", "Hydrate! 💧 (100 points)")]
    assert wire.told == [("GET", "/channel_points/custom_rewards?broadcaster_id=1337", None)]
    ctx, _ = wired(context, {"GET /channel_points/custom_rewards": refusal(403, "not a partner")})
    with pytest.raises(sdk.Rejected, match="affiliates and partners"):
        await choices.fn(ctx, {})


# Reactions


async def test_a_chat_message_is_sent(context: MakeContext) -> None:
    ctx, wire = wired(context, {"POST /chat/messages": items({"message_id": "abc-123", "is_sent": True})})
    got = await react(ctx, "send_chat_message", message="Live!\n<b>@everyone</b> Ünïcödé 🎮")
    line = "Live! <b>@everyone</b> Ünïcödé 🎮"
    assert got == {"message_id": "abc-123", "message": line, "broadcaster_id": "1337"}
    body = {"broadcaster_id": "1337", "sender_id": "1337", "message": line}
    assert wire.told == [("POST", "/chat/messages", body)]


async def test_a_reply_in_somebody_elses_chat(context: MakeContext) -> None:
    ctx, wire = wired(
        context, {"GET /users": items({"id": "42"}), "POST /chat/messages": items({"message_id": "m", "is_sent": True})}
    )
    await react(ctx, "send_chat_message", message="hi", channel="@TwitchDev", reply_to="abc-123")
    body = {"broadcaster_id": "42", "sender_id": "1337", "message": "hi", "reply_parent_message_id": "abc-123"}
    assert wire.told == [("GET", "/users?login=twitchdev", None), ("POST", "/chat/messages", body)]


@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        ({"code": "msg_duplicate", "message": "Your message is identical to the last."}, "identical to the last"),
        ({"code": "automod_held"}, "automod_held"),
        (None, "no reason"),
    ],
)
async def test_a_message_that_was_not_sent_is_a_failure(context: MakeContext, dropped: Any, says: str) -> None:
    answer = items({"message_id": "", "is_sent": False, "drop_reason": dropped})
    ctx, _ = wired(context, {"POST /chat/messages": answer})
    with pytest.raises(sdk.Rejected, match=f"did not send it: .*{says}") as caught:
        await react(ctx, "send_chat_message", message="hi")
    assert caught.value.code == "NOT_SENT"


@pytest.mark.parametrize("name", ["send_chat_message", "send_announcement"])
@pytest.mark.parametrize("line", ["", " \n\t ", "x" * 501], ids=["empty", "blank", "501"])
def test_a_line_of_chat_has_1_to_500_characters(name: str, line: str) -> None:
    with pytest.raises(ValueError, match="message"):
        reaction(name).inputs(message=line)
    assert len(reaction(name).inputs(message="é" * 500).message) == 500


async def test_an_empty_answer_leaves_it_open_what_happened(context: MakeContext) -> None:
    ctx, _ = wired(context, {"POST /chat/messages": items()})
    with pytest.raises(sdk.Unknown, match="did not say what became of it"):
        await react(ctx, "send_chat_message", message="hi")


async def test_an_announcement_is_sent(context: MakeContext) -> None:
    ctx, wire = wired(context, {"POST /chat/announcements": Answer(204)})
    got = await react(ctx, "send_announcement", message="Raid incoming 🚀", color="purple")
    assert got == {"message": "Raid incoming 🚀", "broadcaster_id": "1337"}
    asked = "/chat/announcements?broadcaster_id=1337&moderator_id=1337"
    assert wire.told == [("POST", asked, {"message": "Raid incoming 🚀", "color": "purple"})]


async def test_a_clip_is_made(context: MakeContext) -> None:
    made = {"id": "FiveWords", "edit_url": "https://clips.twitch.tv/FiveWords/edit"}
    ctx, wire = wired(context, {"POST /clips": items(made, status=202)})
    got = await react(ctx, "create_clip", title="¡Qué momento!", duration=12.5)
    assert got == {**made, "url": "https://clips.twitch.tv/FiveWords"}
    assert dict(wire.sent[0].url.params) == {"broadcaster_id": "1337", "title": "¡Qué momento!", "duration": "12.5"}
    await react(ctx, "create_clip")
    assert dict(wire.sent[1].url.params) == {"broadcaster_id": "1337"}
    with pytest.raises(ValueError, match="duration"):
        reaction("create_clip").inputs(duration=61)


async def test_title_game_and_tags_are_set(context: MakeContext) -> None:
    game = {"id": "509670", "name": "Science & Technology"}
    ctx, wire = wired(context, {"GET /games": items(game), "PATCH /channels": Answer(204)})
    got = await react(ctx, "update_channel", title="Día 3 🤖", game="Science & Technology", tags=["ロボット", "Día3"])
    assert got == {
        "broadcaster_id": "1337",
        "title": "Día 3 🤖",
        "game": "Science & Technology",
        "game_id": "509670",
        "tags": ["ロボット", "Día3"],
    }
    assert wire.told == [
        ("GET", "/games?name=Science+%26+Technology", None),
        (
            "PATCH",
            "/channels?broadcaster_id=1337",
            {"title": "Día 3 🤖", "game_id": "509670", "tags": ["ロボット", "Día3"]},
        ),
    ]


async def test_what_is_not_given_stays_as_it_is(context: MakeContext) -> None:
    ctx, wire = wired(context, {"PATCH /channels": Answer(204)})
    await react(ctx, "update_channel", tags=[])
    await react(ctx, "update_channel", title="New")
    assert [call[2] for call in wire.told] == [{"tags": []}, {"title": "New"}]
    with pytest.raises(sdk.Rejected, match="nothing to set") as caught:
        await react(ctx, "update_channel")
    assert caught.value.code == "NOTHING_TO_SET"
    assert len(wire.sent) == 2


async def test_a_game_that_twitch_does_not_know_sets_nothing(context: MakeContext) -> None:
    ctx, wire = wired(context, {"GET /games": items()})
    with pytest.raises(sdk.Rejected, match="no game or category 'Tetriss'") as caught:
        await react(ctx, "update_channel", title="New", game="Tetriss")
    assert caught.value.code == "NO_GAME"
    assert [call[0] for call in wire.told] == ["GET"]


@pytest.mark.parametrize("tags", [["two words"], [""], ["x" * 26], ["c++"], ["ok", "#no"], ["t"] * 11])
def test_tags_that_twitch_refuses_are_refused_when_saved(tags: list[str]) -> None:
    with pytest.raises(ValueError, match="tag"):
        reaction("update_channel").inputs(tags=tags)


async def test_a_marker_is_set_and_its_id_may_be_a_number(context: MakeContext) -> None:
    made = {"id": 123, "created_at": "2018-08-20T20:10:03Z", "position_seconds": 244}
    ctx, wire = wired(context, {"POST /streams/markers": items(made)})
    got = await react(ctx, "create_marker", description="Raid by クール")
    assert got == {
        "id": "123",
        "created_at": "2018-08-20T20:10:03Z",
        "position_seconds": 244,
        "description": "Raid by クール",
    }
    assert wire.told == [("POST", "/streams/markers", {"user_id": "1337", "description": "Raid by クール"})]
    with pytest.raises(ValueError, match="description"):
        reaction("create_marker").inputs(description="x" * 141)


def test_only_setting_the_channel_may_be_repeated() -> None:
    repeatable = {key for key, node in service.reactions.items() if node.is_idempotent(node.inputs.model_construct())}
    assert repeatable == {"twitch.update_channel"}


# What became of a call that nobody answered

SINCE = NOON - timedelta(seconds=20)
CLIP = {
    "id": "FiveWords",
    "url": "https://clips.twitch.tv/FiveWords",
    "creator_id": "1337",
    "created_at": "2026-03-01T11:59:50Z",
}


async def test_a_clip_that_was_made_is_found(context: MakeContext) -> None:
    ctx, wire = wired(
        context, {"GET /clips": items({**CLIP, "id": "Other", "creator_id": "7"}, CLIP)}, tried_since=SINCE
    )
    find, inputs = reaction("create_clip").reconciler, reaction("create_clip").inputs()
    assert find
    assert (await find(ctx, inputs)).model_dump() == {
        "id": "FiveWords",
        "url": "https://clips.twitch.tv/FiveWords",
        "edit_url": "https://clips.twitch.tv/FiveWords/edit",
    }
    asked = {"broadcaster_id": "1337", "started_at": "2026-03-01T11:59:37Z", "first": "100"}
    assert dict(wire.sent[0].url.params) == asked


async def test_a_clip_that_is_not_there_yet_may_still_come(context: MakeContext) -> None:
    ctx, _ = wired(context, {"GET /clips": items({**CLIP, "creator_id": "7"})}, tried_since=SINCE)
    find, inputs = reaction("create_clip").reconciler, reaction("create_clip").inputs()
    assert find
    with pytest.raises(sdk.Unknown, match="does not say that none is being made"):
        await find(ctx, inputs)


def videos(*markers: dict[str, Any], **more: Any) -> Answer:
    return items({"user_id": "1337", "videos": [{"video_id": "1", "markers": list(markers)}]}, **more)


MARKER = {
    "id": "106b8d62",
    "created_at": "2026-03-01T11:59:41Z",
    "description": "Raid",
    "position_seconds": 7,
    "url": "",
}


async def test_a_marker_that_was_set_is_found(context: MakeContext) -> None:
    earlier, other = {**MARKER, "created_at": "2026-03-01T11:00:00Z"}, {**MARKER, "description": "Goal"}
    pages = [videos(earlier, other, pagination={"cursor": "c2"}), videos(MARKER, pagination={})]
    ctx, wire = wired(context, {"GET /streams/markers": pages}, tried_since=SINCE)
    find, inputs = reaction("create_marker").reconciler, reaction("create_marker").inputs(description="Raid")
    assert find
    found = await find(ctx, inputs)
    assert (found.id, found.position_seconds) == ("106b8d62", 7)
    assert [call[1] for call in wire.told] == [
        "/streams/markers?user_id=1337&first=100",
        "/streams/markers?user_id=1337&first=100&after=c2",
    ]


@pytest.mark.parametrize(
    "answer", [items(), videos({**MARKER, "description": "Goal"})], ids=["no video", "no such marker"]
)
async def test_a_marker_that_is_not_there_was_not_set(context: MakeContext, answer: Answer) -> None:
    ctx, _ = wired(context, {"GET /streams/markers": answer}, tried_since=SINCE)
    find, inputs = reaction("create_marker").reconciler, reaction("create_marker").inputs(description="Raid")
    assert find
    assert await find(ctx, inputs) is None


async def test_too_many_markers_leave_it_open(context: MakeContext) -> None:
    ctx, wire = wired(context, {"GET /streams/markers": videos(pagination={"cursor": "on"})}, tried_since=SINCE)
    find, inputs = reaction("create_marker").reconciler, reaction("create_marker").inputs(description="Raid")
    assert find
    with pytest.raises(sdk.Unknown, match="too many markers"):
        await find(ctx, inputs)
    assert len(wire.sent) == 5


def test_chat_cannot_be_asked() -> None:
    asked = {key for key, node in service.reactions.items() if node.reconciler}
    assert asked == {"twitch.create_clip", "twitch.create_marker"}
