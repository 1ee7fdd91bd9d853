"""What the stories of services share: one user's AREAs beside one stand-in, heard of by deliveries or by looking."""

from typing import Any, Generic, TypeVar
from uuid import UUID

from area.db.models import Area
from area.engine import polling
from area.engine.areas import ReactionDraft, delete_area
from area.engine.platform import Platform
from tests.engine.living import Living
from tests.providers.base import StandIn

There = TypeVar("There", bound=StandIn)


class Heard(Living, Generic[There]):
    """One user's AREAs, and a service that tells of events by itself."""

    def __init__(self, platform: Platform, user: UUID, there: There) -> None:
        super().__init__(platform, user, [there])
        self.there = there

    async def from_now(self, account: UUID | None, action: str, /, *reactions: ReactionDraft, **config: Any) -> Area:
        """An AREA that hears of events, or looks for them, from now on."""
        area = await self.area(*reactions, action=action, account_id=account, config=config)
        await self.look(area)
        return area

    async def runs(self, area: Area) -> list[UUID]:
        """Execute what was started; gives the runs so far."""
        rows = await self.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)
        await self.execute(*(row["id"] for row in rows))
        return [row["id"] for row in rows]

    async def gone(self, area: Area) -> None:
        """The AREA is deleted, and the scheduler has its turn."""
        await delete_area(self.platform, self.user, area.id)
        await polling.tick(self.platform)

    async def row(self, account: UUID) -> Any:
        """The account as it is stored."""
        return await self.pool.fetchrow("SELECT * FROM connected_accounts WHERE id = $1", account)


class Watched(Heard[There]):
    """One user's AREAs, and a service that has to be asked."""

    async def runs(self, area: Area) -> list[UUID]:
        """Look, and execute what that started; gives the runs so far."""
        await self.look(area)
        return await super().runs(area)


def step(account: UUID, reaction: str, key: str = "", **config: Any) -> ReactionDraft:
    """A reaction with this account; its key is the reaction's name where none is given."""
    return ReactionDraft(reaction, config, key=key or reaction.partition(".")[2], account_id=account)
