"""The demo user and three AREAs to look at; run again, it changes nothing."""

import asyncio
from uuid import UUID

from area.app.demo import DEMO_EMAIL, DEMO_PASSWORD, Seeded
from area.auth.service import AuthService
from area.core.errors import Conflict
from area.core.settings import Settings
from area.db.migrate import upgrade
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.platform import Platform, open_platform

HOOK_OF = """
    SELECT hooks.token FROM areas JOIN hooks ON hooks.id = areas.hook_id
    WHERE areas.user_id = $1 AND areas.idempotency_key = $2 AND areas.deleted_at IS NULL
"""
TAKEN = "SELECT idempotency_key FROM areas WHERE user_id = $1 AND idempotency_key IS NOT NULL"


def drafts(public_url: str) -> list[AreaDraft]:
    """The demo AREAs. Those that call back here have the address in their key: another port gets its own."""
    return [
        AreaDraft(
            name="Every minute, say the time",
            description="A schedule that writes one line to the run's log.",
            action="schedule.cron",
            config={"expression": "* * * * *"},
            reactions=[ReactionDraft("flow.log", {"message": "It is {{ trigger.scheduled_at }}"})],
            idempotency_key="demo:clock",
        ),
        AreaDraft(
            name="When a webhook arrives, call an API",
            description="A private URL; its body is sent on, and the answer is logged.",
            action="webhook.received",
            config={},
            reactions=[
                ReactionDraft(
                    "http.request",
                    {
                        "method": "POST",
                        "url": f"{public_url}/demo/echo",
                        "body": {"hello": "{{ trigger.body.name }}"},
                    },
                    key="echo",
                ),
                ReactionDraft("flow.log", {"message": "Echo answered {{ steps.echo.status }}"}),
            ],
            idempotency_key=f"demo:webhook:{public_url}",
        ),
        AreaDraft(
            name="When the demo feed has news, log it",
            description="A feed that gains an item about every two minutes.",
            action="rss.new_item",
            config={"url": f"{public_url}/demo/feed.xml"},
            reactions=[ReactionDraft("flow.log", {"message": "New: {{ trigger.title }}"})],
            idempotency_key=f"demo:feed:{public_url}",
        ),
    ]


async def plant(settings: Settings) -> Seeded:
    """Bring the database to this version's schema, and `seed`. Raises: OSError or asyncpg's errors when it is out of reach."""
    await asyncio.to_thread(upgrade, settings.database_url.get_secret_value())
    platform = await open_platform(settings)
    try:
        return await seed(platform, AuthService(platform.db, settings))
    finally:
        await platform.close()


async def seed(platform: Platform, auth: AuthService) -> Seeded:
    """Plant what is missing; an AREA that the demo user deleted stays deleted."""
    public_url = platform.settings.public_url
    user_id = await _demo_user(platform, auth)
    taken = {row["idempotency_key"] for row in await platform.db.pool.fetch(TAKEN, user_id)}
    for draft in drafts(public_url):
        if draft.idempotency_key not in taken:
            await create_area(platform, user_id, draft)
    token = await platform.db.pool.fetchval(HOOK_OF, user_id, f"demo:webhook:{public_url}")
    return Seeded(user_id, f"{public_url}/hooks/{token}" if token else None)


async def _demo_user(platform: Platform, auth: AuthService) -> UUID:
    try:
        return (await auth.sign_up(DEMO_EMAIL, DEMO_PASSWORD, "Demo")).user_id
    except Conflict:
        found: UUID = await platform.db.pool.fetchval("SELECT id FROM users WHERE email = $1", DEMO_EMAIL)
        return found
