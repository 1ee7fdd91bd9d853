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
ITEMS = ["a", "b", "c", "d"]
"""What the loop goes over."""
LIMITS = {"limit": 2, "replace": 1}
"""How many runs of an AREA may go on at once, of those that have such a limit."""
SHARES = {
    "pair": 3,
    "timer": 3,
    "parallel": 3,
    "gate": 2,
    "refused": 1,
    "loop": 2,
    "call": 2,
    "approve": 1,
    "limit": 2,
    "replace": 1,
}
"""How many of each twenty deliveries an AREA gets."""


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
        """The addresses to fire at, each as often as its AREA's share says."""
        return [area.hook_url for area in self.areas if area.hook_url for _ in range(SHARES[area.name])]


def _config(sink: str, step: str, method: str, event: str = EVENT) -> dict[str, Any]:
    return {"method": method, "url": f"{sink}/call/{step}", "body": {"event": event}}


def _call(sink: str, step: str, method: str, event: str = EVENT, **more: Any) -> ReactionDraft:
    """POST must not be repeated, PUT may be."""
    config = _config(sink, step, method, event)
    return ReactionDraft("http.request", config, key=step, timeout_seconds=TIMEOUT_SECONDS, **more)


def drafts(sink: str) -> list[AreaDraft]:
    """What is planted, but for the AREA that calls another one."""
    return [*_plain(sink), *_steered(sink), *_limited(sink)]


def caller(sink: str, called: UUID) -> AreaDraft:
    """Starts a run of ``called``, waits for its end, and goes on."""
    config = {"area_id": str(called), "payload": {"event": EVENT}, "wait": True}
    return AreaDraft(
        "call",
        "webhook.received",
        {},
        [ReactionDraft("flow.call_area", config, key="start"), _call(sink, "back", "PUT")],
    )


def _steered(sink: str) -> list[AreaDraft]:
    """Loops, decisions, filters, failures: where the run itself is steered."""
    webhook = "webhook.received"
    each = {
        "items": ITEMS,
        "reaction": "http.request",
        "config": _config(sink, "each", "POST"),
        "concurrency": 2,
    }
    return [
        AreaDraft("called", "area.called", {}, [_call(sink, "work", "POST", "{{ trigger.payload.event }}")]),
        AreaDraft(
            "loop",
            webhook,
            {},
            [
                ReactionDraft("flow.for_each", each, key="loop", timeout_seconds=TIMEOUT_SECONDS),
                _call(sink, "looped", "PUT"),
            ],
        ),
        AreaDraft(
            "approve",
            webhook,
            {},
            [ReactionDraft("flow.approval", {"message": "Go on?"}, key="ask"), _call(sink, "approved", "POST")],
        ),
        AreaDraft(
            "gate",
            webhook,
            {},
            [
                _call(sink, "beside", "PUT"),
                ReactionDraft("flow.filter", {"condition": "trigger.body.passes == true"}, key="gate"),
                _call(sink, "gated", "POST", after=["beside", "gate"]),
            ],
            mode="parallel",
        ),
        AreaDraft(
            "refused",
            webhook,
            {},
            [
                _call(sink, "slow", "POST"),
                _call(sink, "refused", "PUT"),
                _call(sink, "never", "PUT", after=["refused"]),
            ],
            mode="parallel",
            pause_after_failures=0,
        ),
    ]


def _limited(sink: str) -> list[AreaDraft]:
    """With a limit of runs at once: one queues what is beyond it, one replaces what is older."""
    webhook = "webhook.received"
    return [
        AreaDraft(
            "limit",
            webhook,
            {},
            [_call(sink, "in", "POST"), _call(sink, "out", "PUT")],
            max_concurrent_runs=LIMITS["limit"],
        ),
        AreaDraft(
            "replace",
            webhook,
            {},
            [
                _call(sink, "early", "POST"),
                ReactionDraft("flow.delay", {"seconds": 1}, key="pause"),
                _call(sink, "late", "PUT"),
            ],
            max_concurrent_runs=LIMITS["replace"],
            overlap="replace",
        ),
    ]


def _plain(sink: str) -> list[AreaDraft]:
    """Sequences, timers, steps side by side; a schedule, a feed, and what is told of failures."""
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
        areas: dict[str, Planted] = {}

        async def save(draft: AreaDraft) -> None:
            area = await create_area(platform, signed_in.user_id, draft)
            token = await platform.db.pool.fetchval(TOKEN, area.id) if draft.action == "webhook.received" else None
            url = f"{settings.public_url}/hooks/{token}" if token else None
            areas[draft.name] = Planted(area.id, draft.name, url)

        for draft in drafts(sink):
            await save(draft)
        await save(caller(sink, areas["called"].id))
        return Account(signed_in.access_token, list(areas.values()))
    finally:
        await platform.close()
