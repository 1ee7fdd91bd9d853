"""Values that a provider offers for an input of a node: channels, repositories, calendars. Asked for while a form is filled in."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID

import httpx
import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from area.core import log
from area.core.errors import AccountRequired, AreaError, InvalidInput, LimitReached
from area.core.http import EgressRefused, ResponseTooLarge
from area.core.lru import Lru
from area.engine.connections.accounts import Accounts
from area.nodes import sdk

logger = log.get(__name__)

ASK_SECONDS = 10.0
KEPT_SECONDS = 30.0
KEPT_ANSWERS = 2_000
MOST = 1_000
"""Choices shown of one answer."""

Component = sdk.Action | sdk.Reaction


class ProviderUnavailable(AreaError):
    """A provider could not be asked; another try may succeed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="PROVIDER_UNAVAILABLE")


class Offers:
    """Asks providers for choices, and remembers their answers for a moment."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._kept: Lru[bytes, tuple[float, list[sdk.Choice]]] = Lru(KEPT_ANSWERS)

    async def of(
        self, component: Component, name: str, user_id: UUID, account_id: UUID | None, so_far: Mapping[str, Any]
    ) -> list[sdk.Choice]:
        """What the provider offers for the input ``name``, given the other inputs ``so_far``.

        Raises: AccountRequired, InvalidInput, LimitReached, ProviderUnavailable.
        """
        choices = choices_of(component.inputs).get(name)
        if choices is None:
            return []
        others = {key: value for key, value in so_far.items() if key != name}
        asked = [component.key, name, str(user_id), str(account_id), others]
        key = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS, default=str)
        kept = self._kept.get(key)
        if kept and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        if account_id is None and component.account == "required":
            told = f"Choose an account at {component.service.name} first."
            raise AccountRequired(told, service=component.service.key, missing_scopes=component.scopes)
        found = await self._ask(component, choices, user_id, account_id, others)
        self._kept.put(key, (time.monotonic(), found))
        return found

    async def _ask(
        self, component: Component, choices: sdk.Choices, user_id: UUID, account_id: UUID | None, others: dict[str, Any]
    ) -> list[sdk.Choice]:
        service = component.service
        using = self._accounts.using(service, lambda *_: None, account_id=account_id, user_id=user_id)
        try:
            async with asyncio.timeout(ASK_SECONDS), using as context:
                found: list[sdk.Choice] = await choices.fn(context, others)
        except sdk.Reconnect as error:
            raise AccountRequired(error.message, service=service.key) from None
        except sdk.Throttled as error:
            raise LimitReached(error.message, limit=0, retry_after=error.retry_after) from None
        except (sdk.Unavailable, sdk.Unknown) as error:
            raise ProviderUnavailable(error.message) from None
        except (sdk.NodeError, EgressRefused, ResponseTooLarge) as error:
            raise InvalidInput(str(error)) from None
        except (httpx.TransportError, OSError, TimeoutError) as error:
            raise ProviderUnavailable(f"{service.name} did not answer: {error or type(error).__name__}") from None
        return list(found)[:MOST]


def choices_of(model: type[BaseModel]) -> dict[str, sdk.Choices]:
    """The inputs whose choices come from the provider, also those that are optional or lists of them."""
    found = {name: _marker(field) for name, field in model.model_fields.items()}
    return {name: marker for name, marker in found.items() if marker is not None}


def _marker(field: FieldInfo) -> sdk.Choices | None:
    waiting: list[Any] = [*field.metadata, field.annotation]
    for part in waiting:
        if isinstance(part, sdk.Choices):
            return part
        waiting.extend(getattr(part, "__metadata__", ()))
        waiting.extend(get_args(part))
    return None
