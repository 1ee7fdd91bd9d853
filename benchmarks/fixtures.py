"""The account and the AREAs that are measured."""

from dataclasses import dataclass
from uuid import UUID

from area.auth.service import AuthService
from area.core.settings import Settings
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.housekeeping import make_partitions
from area.engine.platform import open_platform

SECRET = "a secret that signs each delivery"
TOKEN = "SELECT hooks.token FROM areas JOIN hooks ON hooks.id = areas.hook_id WHERE areas.id = $1"


@dataclass(frozen=True)
class Planted:
    """One AREA and the address that fires it."""

    id: UUID
    hook_url: str


@dataclass(frozen=True)
class Account:
    """A signed-in user with AREAs by name."""

    token: str
    areas: dict[str, Planted]


def _call(sink: str, path: str = "sink") -> ReactionDraft:
    config = {"method": "POST", "url": f"{sink}/{path}", "body": {"n": "{{ trigger.body.n }}"}}
    return ReactionDraft("http.request", config)


def shapes(sink: str) -> dict[str, list[ReactionDraft]]:
    """What each AREA does, by its name in the table."""
    timed = {"method": "POST", "url": f"{sink}/sink", "body": {"sent": "{{ trigger.body.sent }}"}}
    computed = [
        ReactionDraft("flow.set", {"values": {"total": f"{{{{ trigger.body.n | plus: {n} }}}}"}}) for n in range(10)
    ]
    return {
        "log": [ReactionDraft("flow.log", {"message": "Order {{ trigger.body.n }}"})],
        "calls": [_call(sink), _call(sink)],
        "computed": [*computed, _call(sink)],
        "slow": [_call(sink, "slow")],
        "timed": [ReactionDraft("http.request", timed), ReactionDraft("flow.log", {"message": "Told"})],
    }


async def plant(settings: Settings, sink: str) -> Account:
    """Sign up and save one AREA of each shape."""
    platform = await open_platform(settings)
    try:
        # As a scheduler does at its start: the feed's lines of today are in their own partition from the first.
        await make_partitions(platform.db.pool)
        signed_in = await AuthService(platform.db, settings).sign_up("bench@example.com", "only-for-benchmarks")
        drafts = [
            AreaDraft(name, "webhook.received", {"secret": SECRET}, reactions)
            for name, reactions in shapes(sink).items()
        ]
        changed = [ReactionDraft("flow.log", {"message": "Now {{ trigger.value }}"})]
        drafts.append(AreaDraft("watching", "http.changed", {"url": f"{sink}/value"}, changed))
        areas = {}
        for draft in drafts:
            area = await create_area(platform, signed_in.user_id, draft)
            token = await platform.db.pool.fetchval(TOKEN, area.id)
            areas[draft.name] = Planted(area.id, f"{settings.public_url}/hooks/{token}")
        return Account(signed_in.access_token, areas)
    finally:
        await platform.close()
