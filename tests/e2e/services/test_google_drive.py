"""Google Drive through the engine: an account by real consent, files that start runs, and files that runs make, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Watched
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.google_drive import FOLDER, INBOX, PLACE, GoogleDrive

ADDED, UPLOAD = "google_drive.file_added", "google_drive.upload_text"
CREATE, SHARE = "google_drive.create_folder", "google_drive.share"
UPLOADS = f"POST /upload{PLACE}/files"


class Story(Watched[GoogleDrive]):
    """One user's AREAs, and a Drive."""

    async def watching(self, account: UUID, *reactions: ReactionDraft) -> Area:
        """An AREA that watches the inbox from now on."""
        return await self.from_now(account, ADDED, *reactions, folder=INBOX)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = GoogleDrive()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        beyond = [f"{c.method} {c.raw_path}" for c in there.calls if c.path.endswith("/permissions")]
        Contract("drive", [*beyond, UPLOADS]).audit(there)


def step(account: UUID, reaction: str, key: str = "it", **config: Any) -> ReactionDraft:
    return ReactionDraft(reaction, config, key=key, account_id=account)


def noted(account: UUID, **more: Any) -> ReactionDraft:
    return step(account, UPLOAD, key="note", name="{{ trigger.name }}.txt", text="{{ trigger.url }} ✓", **more)


async def test_a_file_gets_a_folder_a_note_and_a_reader_once(story: Story) -> None:
    account = await story.connect("google_drive", ADDED, UPLOAD)
    area = await story.watching(
        account,
        step(account, CREATE, key="folder", name="Zu {{ trigger.name }}"),
        noted(account, folder="{{ steps.folder.id }}"),
        step(account, SHARE, key="share", file_id="{{ steps.folder.id }}", email="zoe@example.com", message="Schau!"),
    )
    key = story.there.put("Übersicht 📄", folder=INBOX)
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    (folder,) = (one for one in story.there.files.values() if one["name"] == "Zu Übersicht 📄")
    (note,) = story.there.texts
    assert (folder["mimeType"], story.there.files[note]["parents"]) == (FOLDER, [folder["id"]])
    assert story.there.texts[note] == f"https://drive.google.com/file/d/{key}/view ✓"
    assert story.there.mails == [{"to": "zoe@example.com", "message": "Schau!"}]
    assert await story.runs(area) == [run]


async def test_a_worker_that_dies_when_the_file_is_there_uploads_it_once(story: Story) -> None:
    account = await story.connect("google_drive", ADDED, UPLOAD)
    area = await story.watching(account, noted(account))
    story.there.put("x", folder=INBOX)
    await story.look(area)
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), UPLOADS)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while not story.there.calls[-1].path.startswith("/upload"):  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    await story.there.upload(story.there.calls[-1])
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    story.there.release()
    await story.expire_lease(run)
    await story.execute(run)
    (note,) = story.there.texts
    assert await story.status(run) == "succeeded"
    assert (await story.steps(run))["note"]["output"]["id"] == note


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=503), "UNAVAILABLE"),
        (Fault(status=403, body={"error": {"errors": [{"reason": "rateLimitExceeded"}]}}), "THROTTLED"),
    ],
    ids=["down", "limit by 403"],
)
async def test_a_refusal_that_passes_is_waited_out(story: Story, fault: Fault, code: str) -> None:
    account = await story.connect("google_drive", ADDED, UPLOAD)
    area = await story.watching(account, noted(account))
    story.there.auth.expire()
    story.there.put("x", folder=INBOX)
    story.there.next(fault, UPLOADS)
    (run,) = await story.runs(area)
    found = (await story.steps(run))["note"]
    assert (found["status"], found["error"]["code"], story.there.texts) == ("waiting", code, {})
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), len(story.there.texts), story.there.auth.refreshes) == ("succeeded", 1, 1)


async def test_a_sharing_whose_answer_was_lost_is_found_and_not_repeated(story: Story) -> None:
    account = await story.connect("google_drive", ADDED, SHARE)
    area = await story.watching(account, step(account, SHARE, file_id="{{ trigger.id }}"))
    key = story.there.put("x", folder=INBOX)
    story.there.next(Fault(lose=True), f"POST {PLACE}/files/{key}/permissions")
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["it"]["status"]) == ("succeeded", "succeeded")
    assert len(story.there.permissions[key]) == 1
