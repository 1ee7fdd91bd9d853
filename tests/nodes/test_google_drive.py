"""Google Drive: which files are new, what is uploaded and shared with whom, and that nothing is made twice."""

from datetime import UTC

import pytest
from pydantic import ValidationError

from area.nodes import google_drive, sdk
from area.nodes._google import Gone
from area.nodes.google_drive import reactions, watching
from area.nodes.google_drive.provider import OWN, READ, file_of, folder_choices
from tests.nodes.conftest import FakeContext
from tests.nodes.google_wire import look, wired
from tests.providers.google_drive import FOLDER, INBOX, PLACE, ROOT, GoogleDrive

ANYWHERE, IN_INBOX = watching.Where(), watching.Where(folder=INBOX)


@pytest.fixture
def there() -> GoogleDrive:
    return GoogleDrive()


@pytest.fixture
def ctx(there: GoogleDrive) -> FakeContext:
    return wired(google_drive.service, there)


async def names(ctx: FakeContext, where: watching.Where = ANYWHERE) -> list[str]:
    """The names of the files that the next look finds new."""
    return [file.name for file in await look(ctx, watching.file_added, where)]


# New files


async def test_a_file_that_is_made_fires_once_with_all_it_says(there: GoogleDrive, ctx: FakeContext) -> None:
    there.put("Old.pdf")
    assert await names(ctx) == []
    key = there.put("Übersicht 📄.pdf", folder=INBOX)
    (file,) = await look(ctx, watching.file_added, ANYWHERE)
    assert file.model_dump(exclude={"created_at"}) == {
        "id": key,
        "name": "Übersicht 📄.pdf",
        "mime_type": "application/pdf",
        "size": 8,
        "folder_id": INBOX,
        "owner": "ada@example.com",
        "url": f"https://drive.google.com/file/d/{key}/view",
    }
    assert file.created_at.tzinfo is UTC
    assert await names(ctx) == []


async def test_what_is_changed_trashed_elsewhere_or_a_folder_is_not_new(there: GoogleDrive, ctx: FakeContext) -> None:
    old = there.put("Old.pdf", createdTime="2020-01-01T00:00:00.000Z")
    await names(ctx, IN_INBOX)
    there.change(old, name="Renamed.pdf", parents=[INBOX])
    there.change(there.put("Trashed.pdf", folder=INBOX), trashed=True)
    there.put("Elsewhere.pdf")
    there.put("A folder", FOLDER, folder=INBOX)
    there.put("Strange.pdf", folder=INBOX, createdTime="then")
    twice = there.put("In.pdf", folder=INBOX)
    there.change(twice, size="9")
    assert await names(ctx, IN_INBOX) == ["In.pdf"]
    there.put("Another folder", FOLDER, folder=INBOX)
    assert await names(ctx, watching.Where(folder=INBOX, folders_too=True)) == ["Another folder"]


async def test_many_changes_are_read_over_pages_and_looks(there: GoogleDrive, ctx: FakeContext) -> None:
    await names(ctx)
    there.page = 3
    for number in range(20):
        there.put(f"{number}")
    found = [await names(ctx) for _ in range(3)]
    assert found == [[f"{n}" for n in part] for part in (range(15), range(15, 20), ())]


async def test_a_token_that_is_forgotten_is_replaced_and_fires_nothing(there: GoogleDrive, ctx: FakeContext) -> None:
    await names(ctx)
    there.put("Missed.pdf")
    there.forgotten = 2
    assert await names(ctx) == []
    assert "passed over" in ctx.lines[-1][1]
    there.put("Next.pdf")
    assert await names(ctx) == ["Next.pdf"]


def test_a_file_that_says_little_is_told_all_the_same() -> None:
    shown = file_of({"id": "x", "size": "many", "parents": "p", "owners": [5], "createdTime": None})
    assert (shown.size, shown.folder_id, shown.owner, shown.created_at) == (0, "", "", None)


# Making


async def test_a_text_is_uploaded_as_it_stands(there: GoogleDrive, ctx: FakeContext) -> None:
    text = "Grüße 🎉\r\n--area-\n\nZeile\n"
    given = reactions.Text(name="Bericht 📝.md", text=text, kind=reactions.Kind.MARKDOWN, folder=INBOX)
    file = await reactions.upload_text.fn(ctx, given)
    assert (file.name, file.mime_type, file.folder_id) == ("Bericht 📝.md", "text/markdown", INBOX)
    assert there.texts == {file.id: text}
    document = await reactions.upload_text.fn(ctx, reactions.Text(name="Doc", text="x", as_document=True))
    assert (document.mime_type, document.folder_id) == ("application/vnd.google-apps.document", ROOT)


async def test_a_folder_is_made_and_one_that_is_not_there_is_told(there: GoogleDrive, ctx: FakeContext) -> None:
    folder = await reactions.create_folder.fn(ctx, reactions.Folder(name="Rechnungen 2026"))
    assert (folder.name, folder.mime_type) == ("Rechnungen 2026", FOLDER)
    with pytest.raises(Gone, match="File not found: nowhere"):
        await reactions.create_folder.fn(ctx, reactions.Folder(name="x", folder="nowhere"))
    assert [one.label for one in await folder_choices(ctx, {})] == ["Inbox 📥", "Rechnungen 2026"]


async def test_what_had_no_answer_is_found_again(there: GoogleDrive, ctx: FakeContext) -> None:
    text, folder = reactions.Text(name="x", text="x"), reactions.Folder(name="x")
    share = reactions.Share(file_id=INBOX, email="Zoë <Zoe@example.com>", access=reactions.Role.WRITER)
    everybody = reactions.Share(file_id=INBOX)
    for node, given in (
        (reactions.upload_text, text),
        (reactions.create_folder, folder),
        (reactions.share, share),
        (reactions.share, everybody),
    ):
        ctx.idempotency_key = node.key
        assert node.reconciler
        assert await node.reconciler(ctx, given) is None
        done = await node.fn(ctx, given)
        assert await node.reconciler(ctx, given) == done
        ctx.idempotency_key = "another run"
        if node is not reactions.share:
            assert await node.reconciler(ctx, given) is None
    assert reactions.share.reconciler
    reading = share.model_copy(update={"access": reactions.Role.READER})
    assert await reactions.share.reconciler(ctx, reading) is None, "she may write, which is something else"


# Sharing


async def test_a_file_is_shared_with_somebody_or_with_everybody(there: GoogleDrive, ctx: FakeContext) -> None:
    told = reactions.Share(file_id=INBOX, email="zoe@example.com", access=reactions.Role.COMMENTER, message="Schau ✨")
    got = await reactions.share.fn(ctx, told)
    assert (got.file_id, got.access, got.email) == (INBOX, "commenter", "zoe@example.com")
    await reactions.share.fn(ctx, reactions.Share(file_id=INBOX, email="bob@example.com"))
    everybody = await reactions.share.fn(ctx, reactions.Share(file_id=INBOX))
    assert (everybody.access, everybody.email) == ("reader", "")
    assert [one["type"] for one in there.permissions[INBOX]] == ["user", "user", "anyone"]
    assert there.mails == [{"to": "zoe@example.com", "message": "Schau ✨"}]
    asked = [
        call.query.get("sendNotificationEmail") for call in there.asked("POST", f"{PLACE}/files/{INBOX}/permissions")
    ]
    assert asked == ["true", "false", None], "it may not be said for everybody"


async def test_what_cannot_be_shared_is_told(there: GoogleDrive, ctx: FakeContext) -> None:
    for email, words in (
        ("Zoë", "is not a list of mail addresses"),
        ("a@b.example, c@d.example", "one address at a time"),
    ):
        with pytest.raises(sdk.Rejected, match=words) as caught:
            await reactions.share.fn(ctx, reactions.Share(file_id=INBOX, email=email))
        assert caught.value.field == "email"
    with pytest.raises(ValidationError, match="needs the address"):
        reactions.Share(file_id=INBOX, message="Hello")
    with pytest.raises(Gone):
        await reactions.share.fn(ctx, reactions.Share(file_id="nothing"))
    with pytest.raises(sdk.Rejected, match="has not allowed this"):
        await reactions.share.fn(wired(google_drive.service, there, READ), reactions.Share(file_id=INBOX))
    assert there.permissions == {}


def test_each_node_asks_for_the_least() -> None:
    service = google_drive.service
    assert {node.scopes for node in service.actions.values()} == {(READ,)}
    assert {node.scopes for node in service.reactions.values()} == {(OWN,)}
