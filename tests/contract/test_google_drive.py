"""Everything that Google Drive's nodes send, and all that their stand-in answers, is as Google's description of the API says."""

from area.nodes import google_drive
from area.nodes.google_drive import reactions, watching
from area.nodes.google_drive.provider import folder_choices
from tests.contract.plugin import Contracts
from tests.nodes.google_wire import look, wired
from tests.providers.google_drive import INBOX, PLACE, GoogleDrive

SHARING = f"{PLACE}/files/{INBOX}/permissions"
BEYOND = (f"GET {SHARING}", f"POST {SHARING}", f"POST /upload{PLACE}/files")
"""The strict description has neither sharing nor the address of uploads."""


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("drive", beyond=BEYOND), GoogleDrive()
    ctx = wired(google_drive.service, there)
    there.page = 1
    await look(ctx, watching.file_added, watching.Where())
    for number in range(2):
        there.put(f"Été {number}.pdf")
    assert len(await look(ctx, watching.file_added, watching.Where())) == 2
    for node, given in (
        (reactions.upload_text, reactions.Text(name="Été", text="x", folder=INBOX)),
        (reactions.create_folder, reactions.Folder(name="Été", folder=INBOX)),
        (reactions.share, reactions.Share(file_id=INBOX, email="zoe@example.com", message="Là")),
    ):
        ctx.idempotency_key = node.key
        done = await node.fn(ctx, given)
        assert node.reconciler
        assert await node.reconciler(ctx, given) == done
    assert len(await folder_choices(ctx, {})) == 2
    described.audit(there)
    assert described.checked > 6
