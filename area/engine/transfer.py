"""An AREA as one readable document, and back. Accounts and secrets are named in it, never contained."""

import asyncio
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from sqlalchemy import select

from area.core import yamls
from area.core.errors import AccountRequired, AreaError, InvalidInput, InvalidInputs, NotFound, Path
from area.db.models import Area, AreaVersion, ConnectedAccount
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.platform import Platform
from area.nodes import sdk

SECRET = "$secret"  # noqa: S105 - a key of the document
ROOT: Path = ("document",)
Account = tuple[str, str]
"""A connected account as a document names it: its service, and its label."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True)


class _Account(_Part):
    service: str
    label: str


class _Action(_Part):
    action: str
    account: _Account | None = None
    config: dict[str, Any] = Field(default_factory=dict)


class _Retry(_Part):
    attempts: int


class _Reaction(_Part):
    key: str | None = None
    reaction: str
    account: _Account | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    when: str | None = None
    after: list[str] | None = None
    on_failure: Literal["STOP", "CONTINUE"] = "STOP"
    retry: _Retry | None = None
    timeout_seconds: int | None = None


class Document(_Part):
    """The first version of the document; its fields are those of the API's CreateAreaInput."""

    area: Literal[1]
    name: str
    description: str = ""
    is_enabled: bool = True
    mode: Literal["SEQUENTIAL", "PARALLEL"] = "SEQUENTIAL"
    max_concurrent_runs: int | None = None
    overlap: Literal["QUEUE", "DROP", "REPLACE"] = "QUEUE"
    pause_after_failures: int | None = None
    action: _Action
    reactions: list[_Reaction]


async def export(platform: Platform, user_id: UUID, area_id: UUID, *, as_json: bool = False) -> str:
    """The newest version of an AREA as a document. Raises: NotFound."""
    async with platform.db.sessions() as session:
        own = select(Area, AreaVersion).join(AreaVersion, AreaVersion.area_id == Area.id)
        own = own.where(Area.id == area_id, Area.user_id == user_id, Area.deleted_at.is_(None))
        found = (await session.execute(own.where(AreaVersion.version == Area.version))).first()
        if found is None:
            raise NotFound("There is no such AREA; it may have been deleted.", path=("id",))
        accounts = (await session.scalars(select(ConnectedAccount).where(ConnectedAccount.user_id == user_id))).all()
    area, version = found
    named = {str(row.id): _Account(service=row.service, label=row.label) for row in accounts}
    registry = platform.registry
    action = version.action
    document = Document(
        area=1,
        name=area.name,
        description=area.description,
        isEnabled=area.is_enabled,
        mode=cast(Any, version.mode.upper()),
        maxConcurrentRuns=version.max_concurrent_runs,
        overlap=cast(Any, version.overlap.upper()),
        pauseAfterFailures=area.pause_after_failures,
        action=_Action(
            action=action["action"],
            account=named.get(str(action.get("accountId"))),
            config=_without_secrets(registry.actions.get(action["action"]), action["config"], "action"),
        ),
        reactions=[
            _Reaction(
                key=one["key"],
                reaction=one["reaction"],
                account=named.get(str(one.get("accountId"))),
                config=_without_secrets(registry.reactions.get(one["reaction"]), one["config"], one["key"]),
                when=one.get("when"),
                after=one.get("after"),
                onFailure=cast(Any, str(one.get("onFailure") or "stop").upper()),
                retry=_Retry(attempts=one["retry"]["attempts"]) if one.get("retry") else None,
                timeoutSeconds=one.get("timeoutSeconds"),
            )
            for one in version.reactions
        ],
    )
    shown = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yamls.dump(shown, as_json=as_json)


async def import_area(
    platform: Platform,
    user_id: UUID,
    text: str,
    *,
    accounts: Mapping[Account, UUID],
    secrets: Mapping[str, str],
    name: str | None = None,
    is_enabled: bool | None = None,
    idempotency_key: str | None = None,
) -> Area:
    """Make the AREA that a document describes. ``accounts`` and ``secrets`` stand for what it names.

    Raises: InvalidInputs with every problem and its place in the document; LimitReached.
    """
    # A text of the length that is allowed takes longer to read than others should wait.
    document = await asyncio.to_thread(_read, text)
    problems: list[AreaError] = []
    known = {**await _accounts(platform, user_id), **accounts}
    draft = AreaDraft(
        name=document.name if name is None else name,
        description=document.description,
        is_enabled=document.is_enabled if is_enabled is None else is_enabled,
        mode=document.mode.lower(),
        max_concurrent_runs=document.max_concurrent_runs,
        overlap=document.overlap.lower(),
        pause_after_failures=document.pause_after_failures,
        action=document.action.action,
        account_id=_account(document.action.account, known, ("action",), problems),
        config=_with_secrets(document.action.config, secrets, ("action", "config"), problems),
        reactions=[
            ReactionDraft(
                reaction=one.reaction,
                key=one.key,
                account_id=_account(one.account, known, ("reactions", index), problems),
                config=_with_secrets(one.config, secrets, ("reactions", index, "config"), problems),
                when=one.when,
                after=one.after,
                on_failure=one.on_failure.lower(),
                retry={"attempts": one.retry.attempts} if one.retry else None,
                timeout_seconds=one.timeout_seconds,
            )
            for index, one in enumerate(document.reactions)
        ],
        idempotency_key=idempotency_key,
    )
    if problems:
        raise InvalidInputs([_inside(problem) for problem in problems])
    try:
        return await create_area(platform, user_id, draft)
    except InvalidInputs as error:
        raise InvalidInputs([_inside(problem) for problem in error.problems]) from None


def _read(text: str) -> Document:
    try:
        return Document.model_validate(yamls.load(text))
    except yamls.BadDocument as error:
        raise InvalidInput(str(error), path=ROOT, code="BAD_DOCUMENT") from None
    except ValidationError as error:
        raise InvalidInputs(list(_told(error))) from None


def _told(error: ValidationError) -> Iterator[InvalidInput]:
    for problem in error.errors():
        place: Path = (*ROOT, *problem["loc"])
        if problem["type"] == "extra_forbidden":
            names = _names(problem["loc"])
            near = get_close_matches(str(problem["loc"][-1]), names, n=1, cutoff=0.5)
            message = f"There is no field {str(problem['loc'][-1])[:60]!r} here; the fields are {', '.join(names)}."
            yield InvalidInput(message, path=place, suggestion=near[0] if near else None, code="UNKNOWN_FIELD")
        elif problem["type"] == "missing":
            hint = "1" if problem["loc"] == ("area",) else None
            yield InvalidInput(f"{problem['loc'][-1]} is required.", path=place, suggestion=hint, code="REQUIRED_FIELD")
        else:
            yield InvalidInput(f"{problem['msg']}.", path=place)


def _names(place: Path) -> list[str]:
    """The fields that may be where an unknown one was found."""
    model: type[BaseModel] = Document
    for part, inner in (("action", _Action), ("reactions", _Reaction), ("account", _Account), ("retry", _Retry)):
        if part in place[:-1]:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


async def _accounts(platform: Platform, user_id: UUID) -> dict[Account, UUID]:
    """The user's accounts by how documents name them; of two alike, the one that was connected last."""
    live = select(ConnectedAccount).where(ConnectedAccount.user_id == user_id, ConnectedAccount.status != "revoked")
    async with platform.db.sessions() as session:
        rows = (await session.scalars(live.order_by(ConnectedAccount.id))).all()
    return {(row.service, row.label): row.id for row in rows}


def _account(
    wanted: _Account | None, known: Mapping[Account, UUID], place: Path, problems: list[AreaError]
) -> UUID | None:
    if wanted is None:
        return None
    found = known.get((wanted.service, wanted.label))
    if found is None:
        message = (
            f"You have no account {wanted.label!r} at {wanted.service}: connect it, or say by `accounts` which to use."
        )
        problems.append(AccountRequired(message, service=wanted.service, missing_scopes=[], path=(*place, "account")))
    return found


def _without_secrets(component: sdk.Action | sdk.Reaction | None, config: dict[str, Any], key: str) -> dict[str, Any]:
    """A config whose secrets are named, by the key of what they belong to and their own name."""
    hidden = set(sdk.marked(component.inputs, sdk.Secret)) if component else set()
    return {
        name: {SECRET: f"{key}.{name}"} if name in hidden and value not in (None, "") else value
        for name, value in config.items()
    }


def _with_secrets(
    config: dict[str, Any], secrets: Mapping[str, str], place: Path, problems: list[AreaError]
) -> dict[str, Any]:
    made = dict(config)
    for name, value in config.items():
        if not (isinstance(value, dict) and value.keys() == {SECRET}):
            continue
        if value[SECRET] in secrets:
            made[name] = secrets[value[SECRET]]
        else:
            message = f"The document names the secret {value[SECRET]!r} and does not contain it: give it by `secrets`."
            problems.append(InvalidInput(message, path=(*place, name), code="SECRET_REQUIRED"))
    return made


def _inside(problem: AreaError) -> AreaError:
    """The same problem with its place in the document."""
    path = problem.path
    if path[:1] in (("config",), ("account_id",)):
        path = ("action", *path)
    problem.path = (*ROOT, *("account" if part == "account_id" else part for part in path))
    return problem
