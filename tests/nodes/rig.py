"""Calls any node that is registered as the engine would, with its own examples as inputs and a provider that answers as told."""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import ValidationError

from area.engine.configs import conditions, with_values
from area.nodes import sdk
from tests.nodes.conftest import FakeContext

HOOK = sdk.Hook("018f3a", "https://area.example/hooks/token", "ab" * 32)


class Facts(dict[str, Any]):
    """What `identify` would have kept of an account, whatever its name: text that could be an id."""

    def __missing__(self, name: str) -> str:
        return "1001"

    def get(self, name: str, default: Any = None) -> Any:
        return default if default is not None else self[name]

    def __contains__(self, name: object) -> bool:
        return True


@dataclass(frozen=True)
class Probe:
    """One thing that a node asks of its provider."""

    name: str
    service: sdk.Service
    node: sdk.Action | sdk.Reaction | None
    call: Callable[[FakeContext], Awaitable[Any]]

    @property
    def safe(self) -> bool:
        """Whether a second call does no harm, so that a failure may be retried blindly."""
        if isinstance(self.node, sdk.Reaction) and self.name == self.node.key:
            return self.node.is_idempotent(examples(self.node.inputs))
        return True


def asked(config: dict[str, Any], model: type[sdk.Inputs]) -> dict[str, Any]:
    """A config whose conditions have been asked, and hold."""
    found: dict[str, Any] = with_values(config, dict.fromkeys(dict(conditions(model, config)), True))
    return found


def examples(model: type[sdk.Inputs]) -> sdk.Inputs:
    """Inputs made of the fields' first examples; of the required ones alone where all together contradict each other."""
    given = asked({name: (field.examples or [None])[0] for name, field in model.model_fields.items()}, model)
    try:
        return model.model_validate(given)
    except ValidationError:
        return model.model_validate(
            {name: given[name] for name, field in model.model_fields.items() if field.is_required()}
        )


def nodes(service: sdk.Service) -> list[sdk.Action | sdk.Reaction]:
    """Its actions and reactions."""
    return [*service.actions.values(), *service.reactions.values()]


def speaks_http(service: sdk.Service) -> bool:
    """Whether it has an HTTP API, whose failing answers the platform maps for it."""
    return service.raise_for_status and bool(service.base_url or (service.key_auth and service.key_auth.base_url))


def probes(service: sdk.Service) -> Iterator[Probe]:
    """Everything that a service asks its provider."""
    if service.identifier:
        yield Probe(f"{service.key}:identify", service, None, service.identifier)
    for action in service.actions.values():
        where = examples(action.inputs)
        if action.delivery is sdk.Delivery.POLL:
            yield Probe(action.key, service, action, _calling(action.fn, where))
        if action.subscriber and action.unsubscriber:
            yield Probe(f"{action.key}:subscribe", service, action, _calling(action.subscriber, where, HOOK))
            yield Probe(f"{action.key}:unsubscribe", service, action, _calling(action.unsubscriber, where, "1001"))
        if action.still_there:
            yield Probe(f"{action.key}:is_subscribed", service, action, _calling(action.still_there, where, "1001"))
        if action.enricher:
            sample = action.outputs.model_validate(action.sample())
            yield Probe(f"{action.key}:enrich", service, action, _calling(action.enricher, sample))
    for reaction in service.reactions.values():
        if not reaction.pure:
            yield Probe(reaction.key, service, reaction, _calling(reaction.fn, examples(reaction.inputs)))
        if reaction.reconciler:
            yield Probe(
                f"{reaction.key}:reconcile", service, reaction, _calling(reaction.reconciler, examples(reaction.inputs))
            )
    for node in nodes(service):
        for name, choices in choices_of(node.inputs):
            so_far = examples(node.inputs).model_dump(mode="json")
            so_far.pop(name, None)
            yield Probe(f"{node.key}:{name}", service, node, _calling(choices.fn, so_far))


def choices_of(model: type[sdk.Inputs]) -> Iterator[tuple[str, sdk.Choices]]:
    """The fields whose choices come from the provider."""
    for name, field in model.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, sdk.Choices):
                yield name, mark


def context(service: sdk.Service, answer: Callable[[httpx.Request], httpx.Response]) -> FakeContext:
    """As the engine makes it: answers are judged and mapped by the service before the node sees them."""
    base = service.base_url
    credentials = examples(service.key_auth.fields).model_dump(mode="json") if service.key_auth else {}
    if service.key_auth and service.key_auth.base_url:
        base = service.key_auth.base_url(credentials) or base
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url=base or "", headers=dict(service.headers)
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
    account = sdk.Account("018f3b", "1001", "ada", frozenset(), Facts())
    grant = sdk.Grant("access", "refresh", 3600.0, frozenset(), Facts())
    settings = dict.fromkeys(("client_id", "client_secret", *service.needs), "ab" * 32)
    return FakeContext(client, connected=account, credentials=credentials, granted=grant, settings=settings)


@dataclass(frozen=True)
class Outcome:
    """What became of a call: what it raised, and which methods it had asked by."""

    raised: Exception | None
    asked: tuple[str, ...]

    @property
    def wrote(self) -> bool:
        """Whether something may have happened at the provider."""
        return any(method not in ("GET", "HEAD") for method in self.asked)


async def outcome(probe: Probe, answer: Callable[[httpx.Request], httpx.Response]) -> Outcome:
    """Make the call. What ends or parks a run is no error. Raises: AssertionError when it cannot ask, or does not stop asking."""
    asked: list[str] = []

    def recorded(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        assert request.url.host, f"{probe.name} asks {request.url}, which has no host"
        assert len(asked) < 200, f"{probe.name} does not stop asking"
        return answer(request)

    raised: Exception | None = None
    try:
        await probe.call(context(probe.service, recorded))
    except sdk.ControlFlow:
        pass
    except Exception as error:
        raised = error
    assert asked or raised is None, f"{probe.name} fails before it asks anything: {raised!r}"
    return Outcome(raised, tuple(asked))


def unreadable(found: Exception | None) -> bool:
    """What the engine can tell its user of an answer that makes no sense: an error of ours, no JSON, or not what was promised."""
    return found is None or isinstance(
        found, sdk.NodeError | ValidationError | json.JSONDecodeError | UnicodeDecodeError
    )


def _calling(fn: Callable[..., Any], *given: Any) -> Callable[[FakeContext], Awaitable[Any]]:
    async def call(ctx: FakeContext) -> Any:
        return await fn(ctx, *given)

    return call
