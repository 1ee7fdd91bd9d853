"""What an AREA needs of connected accounts, found out when it is saved: never a surprise in its first run."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from area.core.errors import AccountRequired, AreaError, InvalidInput, NotFound, Path
from area.engine.configs import acting
from area.engine.context import Clients
from area.nodes import sdk
from area.nodes.registry import Registry

ACCOUNTS = """
SELECT id, service, method, status, scopes, external_id, label, facts FROM connected_accounts
WHERE user_id = $1 AND id = ANY($2::uuid[])
"""


class _Reaction(Protocol):
    reaction: str
    config: dict[str, Any]
    account_id: UUID | None


class _Draft(Protocol):
    @property
    def action(self) -> str: ...
    @property
    def account_id(self) -> UUID | None: ...
    @property
    def reactions(self) -> "list[Any]": ...


class Needs:
    """Looks at drafts."""

    def __init__(self, pool: asyncpg.Pool, registry: Registry, clients: Clients) -> None:
        self._pool = pool
        self._registry = registry
        self._clients = clients

    async def check(self, user_id: UUID, draft: _Draft, problems: list[AreaError]) -> sdk.Account | None:
        """Add what is wrong with the draft's accounts; the answer is the action's account."""
        parts: list[tuple[sdk.Action | sdk.Reaction | None, UUID | None, Path]] = [
            (self._registry.actions.get(draft.action), draft.account_id, ("action",))
        ]
        for index, one in enumerate(draft.reactions):
            parts.append((acting(self._registry, one.reaction, one.config), one.account_id, ("reactions", index)))
        known = await self._accounts(user_id, (account_id for _, account_id, _ in parts if account_id))
        for component, account_id, path in parts:
            if component is not None:
                problems.extend(self._wrong(component, account_id, known, path))
        row = known.get(draft.account_id) if draft.account_id else None
        return None if row is None else account_of(row)

    async def _accounts(self, user_id: UUID, ids: Iterable[UUID]) -> dict[UUID, asyncpg.Record]:
        wanted = list(set(ids))
        rows = await self._pool.fetch(ACCOUNTS, user_id, wanted) if wanted else []
        return {row["id"]: row for row in rows}

    def _wrong(
        self,
        component: sdk.Action | sdk.Reaction,
        account_id: UUID | None,
        known: Mapping[UUID, asyncpg.Record],
        path: Path,
    ) -> Iterator[AreaError]:
        service = component.service
        missing = service.missing(self._clients.settings(service.key))
        if missing:
            where = (*path, "action" if isinstance(component, sdk.Action) else "reaction")
            told = f"{service.name} is not set up here: the operator has to set {', '.join(missing)}."
            yield InvalidInput(told, path=where, code="SERVICE_NOT_CONFIGURED")
        here = (*path, "account_id")
        if account_id is None:
            if component.account == "required":
                told = f"{component.name!r} acts for an account at {service.name}: connect one, and choose it here."
                yield AccountRequired(told, service=service.key, missing_scopes=wanted_scopes(component), path=here)
            return
        row = known.get(account_id)
        if row is None:
            yield NotFound("There is no such connected account of yours.", path=here)
        elif component.account == "none":
            yield InvalidInput(f"{component.name!r} uses no account: leave it out.", path=here, code="ACCOUNT_NOT_USED")
        elif row["service"] != service.key:
            told = f"{row['label']!r} is an account at {row['service']}; {component.name!r} needs one at {service.key}."
            yield InvalidInput(told, path=here, code="ACCOUNT_OF_OTHER_SERVICE")
        elif row["status"] == "revoked":
            told = f"The account {row['label']!r} at {service.name} has been disconnected: connect it again."
            yield AccountRequired(told, service=service.key, missing_scopes=wanted_scopes(component), path=here)
        elif lacking := missing_scopes(component, row):
            told = f"{row['label']!r} has yet to allow {', '.join(lacking)} at {service.name}: connect it with these."
            yield AccountRequired(told, service=service.key, missing_scopes=lacking, path=here)


def account_of(row: asyncpg.Record) -> sdk.Account:
    """The account in a row of `ACCOUNTS`."""
    return sdk.Account(str(row["id"]), row["external_id"], row["label"], frozenset(row["scopes"]), row["facts"])


def wanted_scopes(component: sdk.Action | sdk.Reaction) -> list[str]:
    """What a new connection for this node has to ask for."""
    auth = component.service.auth
    return sorted({*component.scopes, *auth.scopes}) if auth else []


def missing_scopes(component: sdk.Action | sdk.Reaction, account: Mapping[str, Any]) -> list[str]:
    """What an account's owner has yet to consent to for this node; a key has no scopes to speak of."""
    auth = component.service.auth
    if account["method"] != "oauth2" or auth is None:
        return []
    return sorted(set(component.scopes) - auth.covered(account["scopes"]))
