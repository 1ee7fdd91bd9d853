"""The demo user of `area dev`: who it is, and what was planted for it."""

from dataclasses import dataclass
from uuid import UUID

DEMO_EMAIL = "demo@area.example"
DEMO_PASSWORD = "area-demo-2026"  # noqa: S105 - printed by `area dev`, exists nowhere else


@dataclass(frozen=True)
class Seeded:
    """What was planted. ``hook_url`` is None when the demo user has deleted the webhook's AREA."""

    user_id: UUID
    hook_url: str | None
