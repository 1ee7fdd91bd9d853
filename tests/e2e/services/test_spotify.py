"""Spotify through the engine: an account by real consent, tracks that start runs, and playlists that runs fill, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Watched, step
from tests.engine.conftest import log
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.spotify import API, KITCHEN, PARTY, Spotify, track, uri

SAVED, ADDED = "spotify.track_saved", "spotify.track_added"
ADD, KEEP, PLAY, SKIP = "spotify.add_to_playlist", "spotify.save", "spotify.play", "spotify.skip"
ADDS = f"POST {API}/playlists/{PARTY}/items"


class Story(Watched[Spotify]):
    """One user's AREAs, and their Spotify."""

    async def watching(self, account: UUID, *reactions: ReactionDraft, action: str = SAVED, **config: Any) -> Area:
        """An AREA that watches from now on."""
        area = await self.from_now(account, action, *reactions, **config)
        self.there.tick()
        return area

    @property
    def party(self) -> list[str]:
        return [entry["item"]["uri"] for entry in self.there.items[PARTY]]


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Spotify()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        Contract("spotify").audit(there)


def filling(account: UUID) -> ReactionDraft:
    return step(account, ADD, playlist=PARTY, track="{{ trigger.uri }}")


async def test_a_track_that_is_saved_is_put_into_a_playlist_and_played_once(story: Story) -> None:
    account = await story.connect("spotify", SAVED, ADD, PLAY, SKIP)
    play = step(account, PLAY, what="{{ steps.add_to_playlist.playlist_url }}", device=KITCHEN)
    area = await story.watching(account, filling(account), play, step(account, SKIP))
    story.there.like(track(7, "Jóga 🎧"))
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    assert (story.party, story.there.skips) == ([uri(7)], 1)
    assert story.there.playing
    assert story.there.playing["context"]["uri"] == f"spotify:playlist:{PARTY}"
    assert await story.runs(area) == [run]
    assert story.party == [uri(7)]


async def test_a_track_that_comes_into_a_playlist_is_saved(story: Story) -> None:
    account = await story.connect("spotify", ADDED, KEEP)
    area = await story.watching(
        account, step(account, KEEP, what="{{ trigger.url }}"), action=ADDED, playlist=f"spotify:playlist:{PARTY}"
    )
    for number in (1, 2):
        story.there.add(PARTY, track(number), by="grace")
    runs = await story.runs(area)
    assert [await story.status(run) for run in runs] == ["succeeded", "succeeded"]
    assert set(story.there.kept) == {uri(1), uri(2)}


async def test_consent_is_asked_for_what_is_needed_and_proven_by_a_verifier(story: Story) -> None:
    account = await story.connect("spotify", SAVED)
    row = await story.pool.fetchrow("SELECT * FROM connected_accounts WHERE id = $1", account)
    assert (row["external_id"], row["label"], row["scopes"]) == ("1001", "Ada Lovelace", ["user-library-read"])
    (asked,) = story.there.asked("GET", "/authorize")
    assert (asked.query["scope"], asked.query["code_challenge_method"]) == ("user-library-read", "S256")
    (exchange,) = story.there.asked("POST", "/api/token")
    assert exchange.headers["authorization"].startswith("Basic ")
    assert not {"client_id", "client_secret"} & set(exchange.form)


async def test_a_consent_ends_after_six_months_and_refreshing_does_not_prolong_it(story: Story) -> None:
    account = await story.connect("spotify", SAVED)
    row = "SELECT expires_at, issued_at, status FROM connected_accounts WHERE id = $1"
    consented = await story.pool.fetchrow(row, account)
    assert consented["expires_at"] - consented["issued_at"] == timedelta(days=180)
    area = await story.watching(account, log("x"))
    story.there.auth.expire()
    await story.look(area)
    refreshed = await story.pool.fetchrow(row, account)
    assert (refreshed["expires_at"], story.there.auth.refreshes) == (consented["expires_at"], 1)
    assert refreshed["issued_at"] > consented["issued_at"]
    await story.pool.execute("UPDATE connected_accounts SET expires_at = now() + interval '3 days'")
    await story.platform.accounts.tidy()
    story.there.auth.expire()
    await story.look(area)
    told = await story.pool.fetchrow(row, account)
    assert (told["status"], story.there.auth.refreshes) == ("expiring", 2), "a refresh does not make it last"


async def test_a_track_whose_adding_got_no_answer_is_found_and_not_added_twice(story: Story) -> None:
    account = await story.connect("spotify", SAVED, ADD)
    area = await story.watching(account, filling(account))
    story.there.like(track(7))
    story.there.next(Fault(lose=True), ADDS)
    (run,) = await story.runs(area)
    assert (await story.status(run), story.party) == ("succeeded", [uri(7)])


async def test_a_worker_that_dies_when_the_track_is_in_adds_it_once(story: Story) -> None:
    account = await story.connect("spotify", SAVED, ADD)
    area = await story.watching(account, filling(account))
    story.there.like(track(7))
    await story.look(area)
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), ADDS)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while story.there.calls[-1].method != "POST":  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    call = story.there.calls[-1]
    call.grant, call.parameters = story.there.auth.grants[0], {"id": PARTY}
    await story.there.fill(call)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    story.there.release()
    await story.expire_lease(run)
    await story.execute(run)
    assert (await story.status(run), story.party) == ("succeeded", [uri(7)])


async def test_a_skip_whose_answer_was_lost_is_left_to_a_person(story: Story) -> None:
    account = await story.connect("spotify", SAVED, SKIP)
    area = await story.watching(account, step(account, SKIP))
    story.there.like(track(7))
    story.there.next(Fault(lose=True), f"POST {API}/me/player/next")
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["skip"]["status"]) == ("held", "unknown")
    assert story.there.skips == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault(status=503), "UNAVAILABLE"), (Fault(status=429, headers={"retry-after": "7"}), "THROTTLED")],
    ids=["down", "limit"],
)
async def test_a_refusal_that_passes_is_waited_out(story: Story, fault: Fault, code: str) -> None:
    account = await story.connect("spotify", SAVED, ADD)
    area = await story.watching(account, filling(account))
    story.there.auth.expire()
    story.there.like(track(7))
    story.there.next(fault, ADDS)
    (run,) = await story.runs(area)
    found = (await story.steps(run))["add_to_playlist"]
    assert (found["status"], found["error"]["code"], story.party) == ("waiting", code, [])
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.party) == ("succeeded", [uri(7)])
    assert (story.there.auth.refreshes, story.there.auth.reuses) == (1, 0), "each refresh token was used once"


async def test_no_device_that_is_open_fails_with_what_to_do(story: Story) -> None:
    account = await story.connect("spotify", SAVED, PLAY)
    area = await story.watching(account, step(account, PLAY, what="{{ trigger.uri }}"))
    story.there.devices[1]["is_active"] = False
    story.there.like(track(7))
    (run,) = await story.runs(area)
    error = (await story.steps(run))["play"]["error"]
    assert (await story.status(run), error["code"]) == ("failed", "NO_ACTIVE_DEVICE")
    assert "Open it on one, or choose a device" in error["message"]


async def test_after_six_months_the_user_is_asked_again_and_nothing_is_lost(story: Story) -> None:
    account = await story.connect("spotify", SAVED, ADD)
    area = await story.watching(account, filling(account))
    story.there.like(track(7))
    await story.look(area)
    run = await story.run_of(area)
    story.there.auth.withdraw()
    await story.execute(run)
    assert ((await story.row(account))["status"], await story.status(run)) == ("needs_reconnect", "held")
    assert await story.connect("spotify", SAVED, ADD) == account
    await story.due_now(run)
    await story.execute(run)
    assert ((await story.row(account))["status"], story.party) == ("active", [uri(7)])
