"""The account and its AREAs."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from area.auth.service import AuthService
from area.core.settings import Settings
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.platform import open_platform

TIMEOUT_SECONDS = 10
EVENT = "{{ trigger.body.id }}"
TOKEN = "SELECT hooks.token FROM areas JOIN hooks ON hooks.id = areas.hook_id WHERE areas.id = $1"
TICK_SECONDS = 10


@dataclass(frozen=True)
class Planted:
    """One AREA: its row, and the address that fires it where it has one."""

    id: UUID
    name: str
    hook_url: str | None


@dataclass(frozen=True)
class Account:
    """A signed-in user and the AREAs."""

    token: str
    areas: list[Planted]

    @property
    def hooks(self) -> list[str]:
        """The addresses to fire at."""
        return [area.hook_url for area in self.areas if area.hook_url]


def _call(sink: str, step: str, method: str, event: str = EVENT, **more: Any) -> ReactionDraft:
    """POST must not be repeated, PUT may be."""
    config = {"method": method, "url": f"{sink}/call/{step}", "body": {"event": event}}
    return ReactionDraft("http.request", config, key=step, timeout_seconds=TIMEOUT_SECONDS, **more)


def drafts(sink: str) -> list[AreaDraft]:
    """What is planted."""
    webhook = "webhook.received"
    return [
        AreaDraft("pair", webhook, {}, [_call(sink, "post", "POST"), _call(sink, "put", "PUT")]),
        AreaDraft(
            "timer",
            webhook,
            {},
            [
                _call(sink, "before", "PUT"),
                ReactionDraft("flow.delay", {"seconds": 2}, key="wait"),
                _call(sink, "after", "POST"),
            ],
        ),
        AreaDraft(
            "parallel",
            webhook,
            {},
            [
                _call(sink, "left", "POST"),
                _call(sink, "right", "PUT"),
                ReactionDraft("flow.log", {"message": "Both", "repeat": 5}, key="log", after=["left", "right"]),
            ],
            mode="parallel",
        ),
        AreaDraft(
            "tick",
            "schedule.every",
            {"seconds": TICK_SECONDS},
            [_call(sink, "tick", "PUT", "{{ trigger.scheduled_at }}")],
        ),
        AreaDraft(
            "item", "rss.new_item", {"url": f"{sink}/feed.xml"}, [_call(sink, "item", "POST", "{{ trigger.title }}")]
        ),
        AreaDraft("failed", "area.run_failed", {}, [_call(sink, "told", "PUT", "{{ trigger.run_id }}")]),
    ]


async def plant(settings: Settings, sink: str) -> Account:
    """Sign up and save the AREAs."""
    platform = await open_platform(settings)
    try:
        signed_in = await AuthService(platform.db, settings).sign_up("chaos@example.com", "only-for-this-play")
        areas = []
        for draft in drafts(sink):
            area = await create_area(platform, signed_in.user_id, draft)
            token = await platform.db.pool.fetchval(TOKEN, area.id)
            areas.append(Planted(area.id, draft.name, f"{settings.public_url}/hooks/{token}" if token else None))
        return Account(signed_in.access_token, areas)
    finally:
        await platform.close()
