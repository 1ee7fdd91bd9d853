"""Making and changing AREAs: everything is checked before anything is saved."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from area.core.clock import now
from area.core.errors import AreaError, Conflict, InvalidInput, InvalidInputs, LimitReached, NotFound
from area.core.ids import new_id
from area.db.models import Area, AreaVersion, Overlap
from area.engine import hooks, outcomes
from area.engine.calls import check_targets
from area.engine.checking import Checked, check_draft
from area.engine.configs import acting
from area.engine.platform import Platform
from area.nodes.registry import Registry


@dataclass
class ReactionDraft:
    """A reaction as the user wrote it."""

    reaction: str
    config: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    account_id: UUID | None = None
    when: str | None = None
    after: list[str] | None = None
    on_failure: str = "stop"
    retry: dict[str, Any] | None = None
    timeout_seconds: int | None = None


@dataclass
class AreaDraft:
    """An AREA as the user wrote it."""

    name: str
    action: str
    config: dict[str, Any]
    reactions: list[ReactionDraft]
    description: str = ""
    is_enabled: bool = True
    mode: str = "sequential"
    account_id: UUID | None = None
    max_concurrent_runs: int | None = None
    overlap: str = "queue"
    pause_after_failures: int | None = None
    idempotency_key: str | None = None


async def create_area(platform: Platform, user_id: UUID, draft: AreaDraft) -> Area:
    """Save a new AREA and start watching its source.

    A repeated idempotency key gives the AREA that the first call made.
    Raises: InvalidInputs with every problem; LimitReached.
    """
    checked = await _check(platform, user_id, draft)
    async with platform.db.sessions() as session:
        if draft.idempotency_key:
            known = select(Area).where(Area.user_id == user_id, Area.idempotency_key == draft.idempotency_key)
            if found := (await session.execute(known)).scalar_one_or_none():
                return found
        await _check_limit(session, platform, user_id)
        area = Area(
            id=new_id(),
            user_id=user_id,
            name=draft.name.strip(),
            description=draft.description,
            is_enabled=draft.is_enabled,
            pause_after_failures=draft.pause_after_failures,
            idempotency_key=draft.idempotency_key,
            version=1,
            published_version=1,
        )
        try:
            session.add(area)
            await session.flush()
            await _publish(session, platform, area, checked, _snapshot(platform.registry, area, draft, checked))
            await session.commit()
        except IntegrityError:
            await session.rollback()
            if not draft.idempotency_key:
                raise
            # The same call came twice at once, and the other one was first.
            return (await session.execute(known)).scalar_one()
    return await _fresh(platform, user_id, area.id)


async def update_area(
    platform: Platform, user_id: UUID, area_id: UUID, expected_version: int, draft: AreaDraft
) -> Area:
    """Save a new version and publish it. Raises: InvalidInputs, NotFound, Conflict."""
    checked = await _check(platform, user_id, draft)
    async with platform.db.sessions() as session:
        area = await _owned(session, user_id, area_id)
        if area.version != expected_version:
            raise Conflict(
                f"This AREA is at version {area.version}, not {expected_version}: somebody changed it. Load it again.",
                current_version=area.version,
                path=("expectedVersion",),
            )
        area.name, area.description, area.is_enabled = draft.name.strip(), draft.description, draft.is_enabled
        area.pause_after_failures = draft.pause_after_failures
        if draft.is_enabled:
            area.paused_reason = None
        area.version += 1
        await _publish(session, platform, area, checked, _snapshot(platform.registry, area, draft, checked))
        await session.commit()
    return await _fresh(platform, user_id, area_id)


async def publish_area(platform: Platform, user_id: UUID, area_id: UUID, version: int) -> Area:
    """Run another stored version from now on: a rollback is the publishing of an old one. Raises: NotFound, InvalidInputs."""
    async with platform.db.sessions() as session:
        area = await _owned(session, user_id, area_id)
        stored = (
            await session.execute(
                select(AreaVersion).where(AreaVersion.area_id == area_id, AreaVersion.version == version)
            )
        ).scalar_one_or_none()
        if stored is None:
            raise NotFound(f"This AREA has no version {version}; its newest is {area.version}.", path=("version",))
        checked = await _check(platform, user_id, _draft_of(area, stored))
        await _publish(session, platform, area, checked, stored)
        await session.commit()
    return await _fresh(platform, user_id, area_id)


async def set_area_enabled(platform: Platform, user_id: UUID, area_id: UUID, enabled: bool) -> Area:
    """Switch an AREA on or off. What happens while it is off is told in its deliveries, and not run later."""
    async with platform.db.sessions() as session:
        area = await _owned(session, user_id, area_id)
        area.is_enabled, area.paused_reason, area.updated_at = enabled, None, now()
        if enabled:
            stored = (
                await session.execute(select(AreaVersion).where(AreaVersion.id == area.published_version_id))
            ).scalar_one()
            checked = await _check(platform, user_id, _draft_of(area, stored))
            await _publish(session, platform, area, checked, stored)
        else:
            await hooks.release(session, area.hook_id)
        await session.commit()
    return await _fresh(platform, user_id, area_id)


async def delete_area(platform: Platform, user_id: UUID, area_id: UUID) -> None:
    """Delete an AREA; its finished runs stay readable. Raises: NotFound."""
    async with platform.db.sessions() as session:
        area = await _owned(session, user_id, area_id)
        area.deleted_at, area.is_enabled = now(), False
        await hooks.release(session, area.hook_id)
        await session.commit()


async def duplicate_area(platform: Platform, user_id: UUID, area_id: UUID, name: str | None = None) -> Area:
    """A copy, switched off, so that nothing fires twice unasked. Raises: NotFound."""
    async with platform.db.sessions() as session:
        area = await _owned(session, user_id, area_id)
        stored = (
            await session.execute(select(AreaVersion).where(AreaVersion.id == area.published_version_id))
        ).scalar_one()
        draft = _draft_of(area, stored)
    draft.name, draft.is_enabled = name or f"{area.name} (copy)", False
    return await create_area(platform, user_id, draft)


async def _check(platform: Platform, user_id: UUID, draft: AreaDraft) -> Checked:
    problems: list[AreaError] = []
    if not draft.name.strip():
        problems.append(InvalidInput("An AREA needs a name.", path=("name",)))
    if len(draft.name) > 200:
        problems.append(InvalidInput("A name has at most 200 characters.", path=("name",)))
    if draft.mode not in ("sequential", "parallel"):
        problems.append(InvalidInput("The mode is sequential or parallel.", path=("mode",)))
    if draft.pause_after_failures is not None and draft.pause_after_failures < 0:
        problems.append(InvalidInput("A number of failures, or 0 for never.", path=("pauseAfterFailures",)))
    if draft.overlap not in set(Overlap):
        problems.append(InvalidInput(f"The overlap is one of {', '.join(Overlap)}.", path=("overlap",)))
    checked = check_draft(platform.registry, draft, platform.settings.max_reactions, problems)
    account = await platform.accounts.needs.check(user_id, draft, problems)
    configs = [(reaction.reaction, reaction.config) for reaction in draft.reactions]
    problems += await check_targets(platform.db.pool, platform.registry, user_id, configs)
    if problems or checked is None:
        raise InvalidInputs(problems)
    checked.account = account
    checked.baseline = await outcomes.baseline(platform.db.pool, checked.action, user_id)
    return checked


async def _check_limit(session: AsyncSession, platform: Platform, user_id: UUID) -> None:
    limit = platform.settings.max_areas
    count = select(func.count()).select_from(Area).where(Area.user_id == user_id, Area.deleted_at.is_(None))
    if (await session.execute(count)).scalar_one() >= limit:
        raise LimitReached(f"You have {limit} AREAs, the most an account may have; delete one first.", limit=limit)


async def _owned(session: AsyncSession, user_id: UUID, area_id: UUID) -> Area:
    owned = select(Area).where(Area.id == area_id, Area.user_id == user_id, Area.deleted_at.is_(None)).with_for_update()
    area = (await session.execute(owned)).scalar_one_or_none()
    if area is None:
        raise NotFound("There is no such AREA; it may have been deleted.", path=("id",))
    return area


async def _fresh(platform: Platform, user_id: UUID, area_id: UUID) -> Area:
    async with platform.db.sessions() as session:
        return (await session.execute(select(Area).where(Area.id == area_id, Area.user_id == user_id))).scalar_one()


def _snapshot(registry: Registry, area: Area, draft: AreaDraft, checked: Checked) -> AreaVersion:
    return AreaVersion(
        id=new_id(),
        area_id=area.id,
        version=area.version,
        mode=draft.mode,
        max_concurrent_runs=draft.max_concurrent_runs,
        overlap=draft.overlap,
        action={
            "action": draft.action,
            "accountId": str(draft.account_id) if draft.account_id else None,
            "config": draft.config,
        },
        reactions=[
            {
                "key": key,
                "reaction": reaction.reaction,
                "accountId": str(reaction.account_id) if reaction.account_id else None,
                "config": reaction.config,
                "when": reaction.when,
                "after": reaction.after,
                "onFailure": reaction.on_failure,
                "retry": reaction.retry or {"attempts": _attempts(registry, reaction)},
                "timeoutSeconds": reaction.timeout_seconds,
            }
            for key, reaction in zip(checked.keys, draft.reactions, strict=True)
        ],
    )


def _attempts(registry: Registry, draft: ReactionDraft) -> int:
    """What the node says that acts; a version keeps it, whatever the node says later."""
    found = acting(registry, draft.reaction, draft.config)
    assert found is not None  # noqa: S101 - what is not known is not saved
    return found.attempts


async def _publish(
    session: AsyncSession, platform: Platform, area: Area, checked: Checked, version: AreaVersion
) -> None:
    session.add(version)
    await session.flush()
    before = area.hook_id
    area.hook_id = await hooks.attach(
        session, checked.action, checked.where, area, platform.sealer, checked.account, checked.baseline
    )
    area.published_version, area.published_version_id, area.updated_at = version.version, version.id, now()
    area.max_concurrent_runs, area.overlap = version.max_concurrent_runs, version.overlap
    # Its owner has looked at it: what failed before does not count against it.
    area.failures_in_row = 0
    if before != area.hook_id or not area.is_enabled:
        await hooks.release(session, before)
        await hooks.release(session, area.hook_id)


def _draft_of(area: Area, stored: AreaVersion) -> AreaDraft:
    def account(value: str | None) -> UUID | None:
        return UUID(value) if value else None

    return AreaDraft(
        name=area.name,
        description=area.description,
        is_enabled=area.is_enabled,
        mode=stored.mode,
        max_concurrent_runs=stored.max_concurrent_runs,
        overlap=stored.overlap,
        pause_after_failures=area.pause_after_failures,
        action=stored.action["action"],
        account_id=account(stored.action.get("accountId")),
        config=stored.action["config"],
        reactions=[
            ReactionDraft(
                reaction=item["reaction"],
                config=item["config"],
                key=item["key"],
                account_id=account(item.get("accountId")),
                when=item.get("when"),
                after=item.get("after"),
                on_failure=item.get("onFailure", "stop"),
                retry=item.get("retry"),
                timeout_seconds=item.get("timeoutSeconds"),
            )
            for item in stored.reactions
        ],
    )
