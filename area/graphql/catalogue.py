"""The catalogue: services, and what their actions and reactions take and give."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import strawberry
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode
from strawberry import field
from strawberry.scalars import JSON

from area.core.ids import to_global
from area.graphql.accounts import ConnectedAccount
from area.graphql.context import Info
from area.graphql.enums import AccountUse, ActionDelivery, AuthorizationKind
from area.graphql.fields import paged, resolved
from area.graphql.forms import FormField, form_fields
from area.graphql.nodes import Node, finds
from area.graphql.pages import Connection, Window, by_id, connection
from area.nodes import sdk


@strawberry.type(description="One value that an action or a reaction hands to the steps after it.")
class OutputField:
    """One value that an action or a reaction hands on."""

    key: str = field(description="The name in templates: {{ trigger.key }} or {{ steps.name.key }}.")
    label: str = field(description="What to call it.")
    help: str = field(description="What it is; may be empty.")
    type: str = field(description="Its JSON type: string, number, integer, boolean, array, object, or any.")
    example: JSON | None = field(description="A value that makes sense.")


@strawberry.interface(description="An action or a reaction that the catalogue has.")
class ComponentDefinition(Node):
    """An action or a reaction that the catalogue has."""

    source: strawberry.Private[sdk.Action | sdk.Reaction]
    key: str = field(description="Stable key, such as github.new_release; what inputs take.")
    name: str = field(description="What to call it.")
    description: str = field(description="What it does, in a sentence.")

    @resolved(description="The service it belongs to.")
    def service(self) -> Service:
        """The service it belongs to."""
        return Service.of(self.source.service)

    @resolved(description="Whether it acts for a connected account of its service.")
    def account_use(self) -> AccountUse:
        """Whether it acts for a connected account."""
        return AccountUse[self.source.account.upper()]

    @resolved(description="What the account's owner must have consented to.")
    def required_scopes(self) -> list[str]:
        """What the account's owner must have consented to."""
        return sorted(self.source.scopes)

    @resolved(description="Its inputs as form fields, in the order to show them.")
    def fields(self) -> list[FormField]:
        """Its inputs as form fields."""
        return form_fields(_schema_of(self.source.inputs, "validation"), self.source)

    @resolved(description="Its inputs as JSON Schema (2020-12).")
    def input_schema(self) -> JSON:
        """Its inputs as JSON Schema."""
        return cast(JSON, _schema_of(self.source.inputs, "validation"))

    @resolved(description="What later steps can use of its result.")
    def outputs(self) -> list[OutputField]:
        """What later steps can use of its result."""
        return _outputs(self.source.outputs)

    @resolved(description="An example of its result.")
    def sample(self) -> JSON:
        """An example of its result."""
        return cast(JSON, self.source.sample())


@strawberry.type(description="What starts a run.")
class ActionDefinition(ComponentDefinition):
    """What starts a run."""

    delivery: ActionDelivery = field(description="How its events reach the platform.")

    @classmethod
    def of(cls, action: sdk.Action) -> ActionDefinition:
        """The catalogue's entry of an action."""
        return cls(
            id=strawberry.ID(to_global("ActionDefinition", action.key)),
            source=action,
            key=action.key,
            name=action.name,
            description=action.description,
            delivery=ActionDelivery[action.delivery.name],
        )


@strawberry.type(description="What a run does.")
class ReactionDefinition(ComponentDefinition):
    """What a run does."""

    is_idempotent: bool = field(
        description="Whether repeating it does no harm; false too where that depends on the inputs."
    )
    timeout_seconds: float = field(description="How long one attempt may take, in seconds, unless the AREA says less.")
    attempts: int = field(description="How many attempts are made in all, unless the AREA says otherwise.")

    @classmethod
    def of(cls, reaction: sdk.Reaction) -> ReactionDefinition:
        """The catalogue's entry of a reaction."""
        return cls(
            id=strawberry.ID(to_global("ReactionDefinition", reaction.key)),
            source=reaction,
            key=reaction.key,
            name=reaction.name,
            description=reaction.description,
            is_idempotent=reaction.idempotent is True,
            timeout_seconds=reaction.timeout,
            attempts=reaction.attempts,
        )


@strawberry.type(description="A provider whose actions and reactions can be used.")
class Service(Node):
    """A provider whose actions and reactions can be used."""

    source: strawberry.Private[sdk.Service]
    key: str = field(description="Stable key, such as github.")
    name: str = field(description="What to call it.")
    description: str = field(description="What it is, in a sentence.")
    docs_url: str | None = field(description="The provider's own documentation.")

    @resolved(description="Address of a picture of it (SVG, square), served by this API.")
    def logo_url(self, info: Info) -> str:
        """Address of a picture of it."""
        return f"{info.context.platform.settings.public_url.rstrip('/')}/services/{self.key}/logo.svg"

    @resolved(description="What can start a run here.")
    def actions(self) -> list[ActionDefinition]:
        """What can start a run here."""
        return [ActionDefinition.of(action) for action in self.source.actions.values()]

    @resolved(description="What a run can do here.")
    def reactions(self) -> list[ReactionDefinition]:
        """What a run can do here."""
        return [ReactionDefinition.of(reaction) for reaction in self.source.reactions.values()]

    @resolved(description="How accounts of it are connected.")
    def authorization(self) -> AuthorizationKind:
        """How accounts of it are connected."""
        kinds = [name for name, way in (("OAUTH2", self.source.auth), ("KEY", self.source.key_auth)) if way]
        return AuthorizationKind["_OR_".join(kinds) or "NONE"]

    @resolved(description="Whether the operator has set up what it needs.")
    def is_configured(self, info: Info) -> bool:
        """Whether the operator has set up what it needs."""
        return not info.context.platform.accounts.missing(self.source)

    @resolved(description="The settings that the operator has yet to set; names only.")
    def missing_settings(self, info: Info) -> list[str]:
        """The settings that the operator has yet to set."""
        return info.context.platform.accounts.missing(self.source)

    @resolved(description="What `connectWithKey` takes, as form fields; empty when it takes nothing.")
    def connect_form(self) -> list[FormField]:
        """What `connectWithKey` takes."""
        key = self.source.key_auth
        return form_fields(key.fields.model_json_schema(), accepts_templates=False) if key else []

    @resolved(description="Where its users find what `connectForm` asks for.")
    def connect_help(self) -> str | None:
        """Where its users find what `connectForm` asks for."""
        return (self.source.key_auth and self.source.key_auth.help) or None

    @paged(by_id, description="The caller's accounts of it, newest first.")
    async def connected_accounts(self, info: Info, asked: Window[UUID]) -> Connection[ConnectedAccount]:
        """The caller's accounts of it."""
        page = await info.context.loaders.account_page(asked, self.key)
        return connection(page, ConnectedAccount.of, lambda row: row.id)

    @classmethod
    def of(cls, service: sdk.Service) -> Service:
        """The catalogue's entry of a service."""
        return cls(
            id=strawberry.ID(to_global("Service", service.key)),
            source=service,
            key=service.key,
            name=service.name,
            description=service.description,
            docs_url=service.docs_url,
        )


@lru_cache(maxsize=4096)
def _schema_of(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    """A model's JSON Schema, which never changes and takes long to make; not to be changed by who gets it."""
    return model.model_json_schema(mode=mode)


def _outputs(model: type[BaseModel]) -> list[OutputField]:
    schema = _schema_of(model, "serialization")
    return [
        OutputField(
            key=key,
            label=part.get("title") or key,
            help=part.get("description", ""),
            type=part["type"] if isinstance(part.get("type"), str) else "any",
            example=next(iter(part.get("examples", ())), None),
        )
        for key, part in schema.get("properties", {}).items()
    ]


@finds("Service")
async def _service(info: Info, key: str) -> Service | None:
    found = info.context.platform.registry.services.get(key)
    return Service.of(found) if found else None


@finds("ActionDefinition")
async def _action(info: Info, key: str) -> ActionDefinition | None:
    found = info.context.platform.registry.actions.get(key)
    return ActionDefinition.of(found) if found else None


@finds("ReactionDefinition")
async def _reaction(info: Info, key: str) -> ReactionDefinition | None:
    found = info.context.platform.registry.reactions.get(key)
    return ReactionDefinition.of(found) if found else None
