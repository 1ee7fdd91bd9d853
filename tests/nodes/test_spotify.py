"""Spotify: what is saved, played and added, each told once; what is added, saved and played; and what its refusals mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk, spotify
from area.nodes.spotify import listening, playlists, reactions
from area.nodes.spotify.playlists import fillable_choices, playlist_choices
from area.nodes.spotify.provider import PLAYLISTS, Gone, Restricted
from area.nodes.spotify.reactions import device_choices
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.spotify_wire import look, wired
from tests.providers.calls import Fault
from tests.providers.spotify import API, KITCHEN, PARTY, PHONE, THEIRS, Spotify, key_of, track, uri

ALL = listening.Everything()
OURS = playlists.Which(playlist=PARTY)
ITEMS = f"{API}/playlists/{PARTY}/items"


@pytest.fixture
def there() -> Spotify:
    return Spotify()


@pytest.fixture
def ctx(there: Spotify) -> FakeContext:
    return wired(there)


async def names(ctx: FakeContext, node: sdk.Action, where: sdk.Inputs = ALL) -> list[str]:
    return [one.name for one in await look(ctx, node, where)]


# Saved


async def test_a_track_that_is_saved_fires_once_with_all_it_says(there: Spotify, ctx: FakeContext) -> None:
    there.like(track(1, "Old"), days=1)
    assert await names(ctx, listening.track_saved) == []
    there.like(track(2, "Jóga: Überlänge 🎧"))
    (saved,) = await look(ctx, listening.track_saved, ALL)
    assert saved.model_dump() == {
        "id": key_of(2),
        "uri": uri(2),
        "name": "Jóga: Überlänge 🎧",
        "artist": "Ada, Björk 🎤",
        "artists": ["Ada", "Björk 🎤"],
        "album": "Homogénic",
        "seconds": 305,
        "explicit": False,
        "image_url": "https://i.scdn.co/image/x",
        "url": f"https://open.spotify.com/track/{key_of(2)}",
        "key": f"{there.moment:%Y-%m-%dT%H:%M:%SZ}/{uri(2)}",
        "added_at": there.moment,
    }
    assert await names(ctx, listening.track_saved) == []


async def test_what_is_taken_out_brings_no_old_one_back_and_the_same_second_is_not_lost(
    there: Spotify, ctx: FakeContext
) -> None:
    for number in range(60):
        there.like(track(number), days=60 - number)
    await names(ctx, listening.track_saved)
    del there.saved[:20]
    assert await names(ctx, listening.track_saved) == [], "those that move up are old"
    there.like(track(70, "first"))
    assert await names(ctx, listening.track_saved) == ["first"]
    there.like(track(71, "in the same second"))
    assert await names(ctx, listening.track_saved) == ["in the same second"]
    del there.saved[0]
    there.tick()
    there.like(track(71, "again"))
    assert await names(ctx, listening.track_saved) == ["again"]


async def test_many_that_are_saved_are_read_over_pages_and_told_oldest_first(there: Spotify, ctx: FakeContext) -> None:
    assert await names(ctx, listening.track_saved) == [], "nothing is saved"
    for number in range(120):
        there.like(track(number), seconds=120 - number)
    assert await names(ctx, listening.track_saved) == [f"Jóga {number}" for number in range(120)]
    there.tick(3600)
    for number in range(200, 750):
        there.like(track(number), seconds=750 - number)
    assert await names(ctx, listening.track_saved) == [f"Jóga {number}" for number in range(250, 750)]
    assert "More than 500 tracks" in ctx.lines[-1][1]


# Played


async def test_a_track_that_was_played_fires_once_and_the_cursor_is_spotify_s(there: Spotify, ctx: FakeContext) -> None:
    there.play(track(1), hours=1)
    await names(ctx, listening.track_played)
    there.play(track(2, "Café ☕"), minutes=5)
    there.play(track(2, "Café ☕"))
    first, again = await look(ctx, listening.track_played, ALL)
    assert (first.name, first.context_uri, again.played_at) == (
        "Café ☕",
        f"spotify:playlist:{PARTY}",
        there.moment + timedelta(milliseconds=123),
    )
    assert first.key != again.key, "played twice is two"
    assert await names(ctx, listening.track_played) == []
    newest = round((there.moment + timedelta(milliseconds=123)).timestamp() * 1000)
    assert there.calls[-1].query == {"limit": "50", "after": str(newest)}
    assert ctx.cursor == {"after": newest}, "an answer without cursors leaves it where it was"


async def test_a_history_with_nothing_in_it_begins_now(there: Spotify, ctx: FakeContext) -> None:
    await names(ctx, listening.track_played)
    assert ctx.cursor == {"after": round(there.moment.timestamp() * 1000)}
    there.tick()
    there.play(track(1, "First"))
    assert await names(ctx, listening.track_played) == ["First"]


# Playlists


async def test_a_playlist_that_changes_tells_what_was_added(there: Spotify, ctx: FakeContext) -> None:
    there.add(PARTY, track(1), days=1)
    assert await look(ctx, playlists.playlist_changed, OURS) == []
    asked = len(there.calls)
    assert await look(ctx, playlists.playlist_changed, OURS) == []
    assert [call.path for call in there.calls[asked:]] == [f"{API}/playlists/{PARTY}"], "one call where nothing changed"
    there.add(PARTY, track(2, "Zwölf 🎷"), by="grace", seconds=1)
    there.add(PARTY, track(1, "Top"), at=0)
    (change,) = await look(ctx, playlists.playlist_changed, OURS)
    assert change.model_dump(exclude={"added"}) == {
        "snapshot_id": "snapshot4",
        "playlist_id": PARTY,
        "playlist_name": "Fête 🎉",
        "owner": "Ada Lovelace",
        "total": 3,
        "added_count": 2,
        "added_text": "Ada, Björk 🎤 - Zwölf 🎷\nAda, Björk 🎤 - Top",
        "url": f"https://open.spotify.com/playlist/{PARTY}",
    }
    assert [(one.name, one.added_by) for one in change.added] == [("Zwölf 🎷", "grace"), ("Top", "1001")]


async def test_what_is_taken_out_or_renamed_is_a_change_that_adds_nothing(there: Spotify, ctx: FakeContext) -> None:
    for number in range(3):
        there.add(PARTY, track(number), minutes=3 - number)
    await look(ctx, playlists.playlist_changed, OURS)
    del there.items[PARTY][2]
    there.snapshots[PARTY] += 1
    there.names[PARTY] = "Neu"
    (change,) = await look(ctx, playlists.playlist_changed, OURS)
    assert (change.playlist_name, change.total, change.added, change.added_text) == ("Neu", 2, [], "")


async def test_each_track_that_is_added_fires_once_wherever_it_is_put(there: Spotify, ctx: FakeContext) -> None:
    for number in range(120):
        there.add(PARTY, track(number), days=1)
    assert await names(ctx, playlists.track_added, OURS) == []
    there.add(PARTY, track(500, "Middle"), at=60)
    assert await names(ctx, playlists.track_added, OURS) == ["Middle"]
    there.add(PARTY, track(501, "Same second"), at=0)
    assert await names(ctx, playlists.track_added, OURS) == ["Same second"]
    there.items[PARTY].reverse()
    there.snapshots[PARTY] += 1
    assert await names(ctx, playlists.track_added, OURS) == [], "moved is not added"


async def test_of_a_long_playlist_both_ends_are_read(there: Spotify, ctx: FakeContext) -> None:
    for number in range(3000):
        there.items[PARTY].append({"added_at": "2020-01-01T00:00:00Z", "item": {"uri": uri(number)}})
    await names(ctx, playlists.track_added, OURS)
    there.add(PARTY, track(9001, "End"))
    there.add(PARTY, track(9000, "Top"), at=0)
    asked = len(there.calls)
    assert sorted(await names(ctx, playlists.track_added, OURS)) == ["End", "Top"]
    offsets = [int(call.query["offset"]) for call in there.calls[asked + 1 :]]
    assert offsets == [*range(0, 1000, 50), *range(2050, 3050, 50)]
    assert "3002 items" in ctx.lines[-1][1]


async def test_what_cannot_be_shown_is_passed_over_and_old_fields_and_episodes_are_read(
    there: Spotify, ctx: FakeContext
) -> None:
    await names(ctx, playlists.track_added, OURS)
    there.add(PARTY, None)
    there.items[PARTY].append({"added_at": None, "item": track(1, "No moment")})
    there.items[PARTY].append({"added_at": "2026-03-01T08:00:00Z", "track": track(2, "By its old name")})
    local = {"id": None, "uri": "spotify:local:a:b:c:10", "name": "My file", "artists": [{"name": ""}], "album": None}
    there.add(PARTY, local)
    show = {"name": "Sendung", "images": [{"url": "https://i.scdn.co/show"}]}
    there.add(PARTY, {"id": "e", "uri": "spotify:episode:e", "name": "Folge", "show": show, "duration_ms": "long"})
    found = {one.name: one for one in await look(ctx, playlists.track_added, OURS)}
    assert list(found) == ["By its old name", "My file", "Folge"]
    assert (found["My file"].id, found["My file"].artist, found["My file"].image_url) == ("", "", "")
    episode = found["Folge"]
    assert (episode.artist, episode.album, episode.image_url) == ("Sendung", "Sendung", "https://i.scdn.co/show")
    assert (episode.seconds, episode.url, episode.added_by) == (0, "", "1001")


async def test_a_playlist_that_is_gone_or_somebody_else_s_is_told(there: Spotify, ctx: FakeContext) -> None:
    with pytest.raises(Gone, match="may not see it"):
        await look(ctx, playlists.track_added, playlists.Which(playlist="0" * 22))
    with pytest.raises(sdk.Rejected, match="open to its owner and to those who work on it") as refused:
        await look(ctx, playlists.playlist_changed, playlists.Which(playlist=THEIRS))
    assert refused.value.code == "FORBIDDEN"


# Adding and saving


@pytest.mark.parametrize(
    ("position", "order"), [(None, [1, 2, 7]), (0, [7, 1, 2]), (1, [1, 7, 2])], ids=["end", "top", "between"]
)
async def test_a_track_is_added_where_it_shall_go(
    there: Spotify, ctx: FakeContext, position: int | None, order: list[int]
) -> None:
    for number in (1, 2):
        there.add(PARTY, track(number))
    given = reactions.Addition(playlist=PARTY, track=uri(7), position=position)
    added = await reactions.add_to_playlist.fn(ctx, given)
    assert added.model_dump() == {
        "added": True,
        "uri": uri(7),
        "url": f"https://open.spotify.com/track/{key_of(7)}",
        "playlist_id": PARTY,
        "playlist_url": f"https://open.spotify.com/playlist/{PARTY}",
        "snapshot_id": "snapshot4",
    }
    assert [one["item"]["uri"] for one in there.items[PARTY]] == [uri(number) for number in order]
    (call,) = there.asked("POST", ITEMS)
    assert call.json == {"uris": [uri(7)]} | ({} if position is None else {"position": position})


async def test_a_track_that_is_there_is_left_out_where_one_is_enough(there: Spotify, ctx: FakeContext) -> None:
    for number in range(60):
        there.add(PARTY, track(number))
    there.add(PARTY, track(99, linked_from={"uri": uri(100)}))
    for number, added in ((59, False), (100, False), (101, True), (101, False)):
        given = reactions.Addition(playlist=PARTY, track=uri(number), once=True)
        done = await reactions.add_to_playlist.fn(ctx, given)
        assert (done.added, done.uri) == (added, uri(number))
    assert done.snapshot_id == "snapshot63"
    assert [call.json["uris"] for call in there.asked("POST", ITEMS)] == [[uri(101)]]


async def test_whether_it_was_added_is_asked_of_the_playlist(there: Spotify, ctx: FakeContext) -> None:
    given, ctx.tried_since = reactions.Addition(playlist=PARTY, track=uri(7)), there.moment
    asking = reactions.add_to_playlist.reconciler
    assert asking
    there.add(PARTY, track(7), hours=1)
    there.add(PARTY, track(7), by="grace")
    there.add(PARTY, track(8))
    there.add(PARTY, None)
    assert await asking(ctx, given) is None, "earlier, by another, or another track"
    there.add(PARTY, track(99, linked_from={"uri": uri(7)}))
    found = await asking(ctx, given)
    assert (found.uri, found.snapshot_id) == (uri(7), "snapshot6"), "one that stands in its place in this country"


@pytest.mark.parametrize(("position", "is_told"), [(None, True), (5, True), (1500, False), (2800, True)])
async def test_of_the_middle_of_a_long_playlist_nobody_knows(
    there: Spotify, ctx: FakeContext, position: int | None, is_told: bool
) -> None:
    there.items[PARTY] = [{"added_at": "2020-01-01T00:00:00Z", "item": {"uri": uri(1)}}] * 3000
    given, ctx.tried_since = reactions.Addition(playlist=PARTY, track=uri(7), position=position), there.moment
    asking = reactions.add_to_playlist.reconciler
    assert asking
    if is_told:
        assert await asking(ctx, given) is None
        there.add(PARTY, track(7), at=position)
        assert (await asking(ctx, given)).uri == uri(7)
    else:
        with pytest.raises(sdk.Unknown, match="so long"):
            await asking(ctx, given)


async def test_saving_twice_saves_once(there: Spotify, ctx: FakeContext) -> None:
    given = reactions.Keeping(what=f"https://open.spotify.com/intl-de/album/{key_of(3)}?si=x")
    for _ in range(2):
        kept = await reactions.save.fn(ctx, given)
    assert kept.model_dump() == {
        "uri": f"spotify:album:{key_of(3)}",
        "url": f"https://open.spotify.com/album/{key_of(3)}",
    }
    assert there.kept == [f"spotify:album:{key_of(3)}"]
    assert reactions.save.idempotent is True


# The player


async def test_things_are_played_and_what_was_playing_goes_on(there: Spotify, ctx: FakeContext) -> None:
    party = f"spotify:playlist:{PARTY}"
    playing = await reactions.play.fn(ctx, reactions.Start(what=uri(5), device=PHONE))
    assert playing.model_dump() == {
        "uri": uri(5),
        "url": f"https://open.spotify.com/track/{key_of(5)}",
        "device_id": PHONE,
    }
    await reactions.play.fn(ctx, reactions.Start(what=party))
    sent = [(call.query, call.json) for call in there.asked("PUT", f"{API}/me/player/play")]
    assert sent == [({"device_id": PHONE}, {"uris": [uri(5)]}), ({}, {"context_uri": party})]
    there.playing = {"device": there.devices[1], "is_playing": False}
    assert (await reactions.play.fn(ctx, reactions.Start())).uri == ""
    call = there.asked("PUT", f"{API}/me/player/play")[-1]
    assert (call.query, call.body, call.headers["content-length"]) == ({}, b"", "0")


async def test_a_player_that_plays_already_goes_on(there: Spotify, ctx: FakeContext) -> None:
    there.playing = {"device": there.devices[1], "is_playing": True}
    assert (await reactions.play.fn(ctx, reactions.Start(device=KITCHEN))).device_id == KITCHEN
    with pytest.raises(Restricted, match="does not take this command now"):
        await reactions.play.fn(ctx, reactions.Start(device=PHONE))
    assert reactions.play.is_idempotent(reactions.Start())
    assert not reactions.play.is_idempotent(reactions.Start(what=uri(1)))


@pytest.mark.parametrize(
    ("state", "started"),
    [
        (None, False),
        ({"is_playing": True, "item": {"uri": uri(5)}}, True),
        ({"is_playing": True, "item": {"uri": uri(6), "linked_from": {"uri": uri(5)}}}, True),
        ({"is_playing": True, "item": {"uri": uri(6)}, "context": {"uri": uri(5)}}, True),
        ({"is_playing": True, "item": {"uri": uri(6)}}, False),
        ({"is_playing": False, "item": {"uri": uri(5)}}, False),
        ({"is_playing": True, "item": {"uri": uri(5)}, "device": {"id": KITCHEN}}, False),
    ],
    ids=["closed", "it", "its twin", "out of it", "another", "paused", "elsewhere"],
)
async def test_whether_it_was_started_is_asked_of_the_player(
    there: Spotify, ctx: FakeContext, state: dict[str, Any] | None, started: bool
) -> None:
    there.playing = state and {"device": {"id": PHONE}, **state}
    assert reactions.play.reconciler
    found = await reactions.play.reconciler(ctx, reactions.Start(what=uri(5), device=PHONE))
    assert (found is not None) is started


async def test_skipping_is_done_and_an_answer_that_is_no_json_will_do(there: Spotify, ctx: FakeContext) -> None:
    skipped = await reactions.skip.fn(ctx, reactions.Skip(device=KITCHEN))
    assert (skipped.device_id, there.skips) == (KITCHEN, 1)
    there.next(Fault(body="Zh4nCom1and"), "POST")
    assert (await reactions.skip.fn(ctx, reactions.Skip())).device_id == ""
    assert reactions.skip.idempotent is False
    assert reactions.skip.reconciler is None, "nothing tells a skip from a track that ended"


@pytest.mark.parametrize(
    ("device", "premium", "code"),
    [
        (None, True, "NO_ACTIVE_DEVICE"),
        ("gone", True, "DEVICE_NOT_FOUND"),
        (KITCHEN, False, "PREMIUM_REQUIRED"),
    ],
)
async def test_a_player_that_cannot_says_what_to_do(
    there: Spotify, ctx: FakeContext, device: str | None, premium: bool, code: str
) -> None:
    there.devices[1]["is_active"], there.premium = False, premium
    for node, given in (
        (reactions.play, reactions.Start(what=uri(1), device=device)),
        (reactions.skip, reactions.Skip(device=device)),
    ):
        with pytest.raises(sdk.Rejected) as refused:
            await node.fn(ctx, given)
        assert refused.value.code == code
        assert refused.value.field == ("device" if "DEVICE" in code else None)
    assert (there.playing, there.skips) == (None, 0)


# Choices, accounts, inputs


async def test_playlists_and_devices_are_offered_by_name(there: Spotify, ctx: FakeContext) -> None:
    assert [(one.value, one.label) for one in await playlist_choices(ctx, {})] == [
        (PARTY, "Fête 🎉"),
        (THEIRS, "Hits (Grace Hopper)"),
    ]
    assert [one.value for one in await fillable_choices(ctx, {})] == [PARTY]
    assert [(one.value, one.label) for one in await device_choices(ctx, {})] == [
        (KITCHEN, "Küche (speaker, playing)"),
        (PHONE, "Handy (smartphone)"),
    ]
    for number in range(250):
        key = f"{number:022d}"
        there.items[key], there.names[key], there.owners[key] = [], "", there.users[0]
        there.snapshots[key] = 1
    assert len(await playlist_choices(ctx, {})) == 200, "no more than four pages"


async def test_whose_account_it_is_and_what_it_has_not_allowed(there: Spotify) -> None:
    few = wired(there, PLAYLISTS)
    profile = await spotify.provider.identify(few)
    told = (profile.external_id, profile.label, profile.avatar_url)
    assert told == ("1001", "Ada Lovelace", "https://i.scdn.co/image/me")
    with pytest.raises(sdk.Rejected) as refused:
        await look(few, listening.track_saved, ALL)
    assert refused.value.code == "MISSING_SCOPE"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (key_of(7), uri(7)),
        (f" {uri(7)}\n", uri(7)),
        (f"https://open.spotify.com/track/{key_of(7)}", uri(7)),
        (f"https://open.spotify.com/intl-pt-BR/track/{key_of(7)}?si=a1&pi=b", uri(7)),
        (f"spotify:episode:{key_of(7)}", f"spotify:episode:{key_of(7)}"),
    ],
)
def test_tracks_are_named_as_people_copy_them(given: str, wanted: str) -> None:
    assert reactions.Addition(playlist=f"spotify:user:ada:playlist:{PARTY}", track=given).model_dump() == {
        "playlist": PARTY,
        "track": wanted,
        "position": None,
        "once": False,
    }


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Für Elise",
        f"spotify:artist:{key_of(7)}",
        f"https://open.spotify.com.evil.example/track/{key_of(7)}",
        f"https://open.spotify.com/track/{key_of(7)}/../x",
        f"spotify:track:{key_of(7)},{uri(8)}",
    ],
)
def test_what_names_no_track_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ValidationError, match=r"no track or episode: copy its link in Spotify, such as https://open\."):
        reactions.Addition(playlist=PARTY, track=given)


# What Spotify's answers mean


def answered(status: int, body: Any = None, **more: Any) -> httpx.Response:
    given = (
        {"text": body} if isinstance(body, str) else {"json": {"error": {"status": status, "message": "No", **body}}}
    )
    return httpx.Response(status, **given, **more)


@pytest.mark.parametrize(
    ("response", "error", "said"),
    [
        (answered(429, {}, headers={"retry-after": "7"}), sdk.Throttled, "429"),
        (answered(401, {"message": "The access token expired"}), sdk.Reconnect, "token expired"),
        (answered(403, {"message": "Player command failed: Restriction violated"}), Restricted, "Restriction violated"),
        (answered(403, {"reason": "NO_ACTIVE_DEVICE"}), sdk.Rejected, "open on no device"),
        (answered(403, {"reason": "PREMIUM_REQUIRED"}), sdk.Rejected, "Premium accounts only"),
        (answered(403, "User not registered in the Developer Dashboard"), sdk.Rejected, "User not registered"),
        (answered(403, "<html>" + "x" * 9000, headers={"content-type": "text/html"}), sdk.Rejected, "says: Forbidden$"),
        (
            answered(400, {"message": "Invalid\n track 🎵 uri"}),
            sdk.Rejected,
            "cannot accept this: Invalid track 🎵 uri",
        ),
        (answered(500, {"message": "Server error."}), sdk.Unavailable, "500"),
        (answered(502, {"message": "Bad gateway."}), sdk.Unheard, "502"),
        (answered(503, {}, headers={"retry-after": "3"}), sdk.Throttled, "503"),
        (httpx.Response(200, html="<title>Sign in</title>"), sdk.Unknown, "may have happened"),
        (httpx.Response(201, json={}), sdk.Unknown, "may have happened"),
    ],
)
async def test_answers_mean_what_the_engine_must_do(
    context: MakeContext, response: httpx.Response, error: type[sdk.NodeError], said: str
) -> None:
    ctx = context(lambda _: response, service=spotify.service)
    with pytest.raises(error, match=said) as raised:
        await reactions.add_to_playlist.fn(ctx, reactions.Addition(playlist=PARTY, track=uri(1)))
    assert type(raised.value) is error
    if isinstance(raised.value, sdk.Throttled):
        assert raised.value.retry_after == float(response.headers["retry-after"])


async def test_a_page_instead_of_silence_is_no_success(context: MakeContext) -> None:
    for node, given, error in (
        (reactions.save, reactions.Keeping(what=uri(1)), sdk.Unavailable),
        (reactions.play, reactions.Start(), sdk.Unavailable),
        (reactions.play, reactions.Start(what=uri(1)), sdk.Unknown),
        (reactions.skip, reactions.Skip(), sdk.Unknown),
    ):
        for body in ("<html>", '{"error": {"status": 500, "message": "x"}}'):
            ctx = context(lambda _, body=body: httpx.Response(200, text=body), service=spotify.service)
            with pytest.raises(error):
                await node.fn(ctx, given)


async def test_a_look_that_breaks_off_is_done_again(there: Spotify, ctx: FakeContext) -> None:
    await names(ctx, playlists.track_added, OURS)
    for number in range(60):
        there.add(PARTY, track(number))
    there.next(Fault(status=502), f"GET {ITEMS}")
    with pytest.raises(sdk.Unavailable):
        await look(ctx, playlists.track_added, OURS)
    assert len(await names(ctx, playlists.track_added, OURS)) == 60


def test_moments_that_are_none_are_none() -> None:
    assert spotify.provider.moment_of("2026-03-01T09:00:00+01:00") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert spotify.provider.moment_of("2026-03-01T08:00:00") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert spotify.provider.moment_of(None) is None
