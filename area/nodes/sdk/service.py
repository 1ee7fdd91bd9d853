"""A service: one provider's actions and reactions, declared by decorators on plain functions."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import httpx

from area.nodes.sdk.auth import AccountUse, AppHeader, ClientCredentials, Key, OAuth2
from area.nodes.sdk.components import Action, Control, Delivery, Reaction
from area.nodes.sdk.models import Inputs, Outputs, Page, Tick
from area.nodes.sdk.webhooks import Answer, Endpoint, Routed, Verify, WebhookDelivery

Function = Callable[..., Any]
ModelT = TypeVar("ModelT", Inputs, Outputs)


@dataclass(eq=False)
class Service:
    """One provider. ``raise_for_status`` lets the engine map failing statuses before the node sees them.

    ``judge`` looks at every answer first, its body read, and raises what the provider means by it where the status does not say it
    (a 200 that says "no", a 403 that means "later"). ``headers`` go with every request.
    """

    key: str
    name: str
    description: str
    base_url: str | None = None
    auth: OAuth2 | None = None
    key_auth: Key | None = None
    app_auth: ClientCredentials | AppHeader | None = None
    docs_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    judge: Callable[[httpx.Response], None] | None = None
    raise_for_status: bool = True
    needs: tuple[str, ...] = ()
    """Settings it cannot work without, besides the OAuth client's: ``bot_token`` is ``AREA_<SERVICE>_BOT_TOKEN``."""
    actions: dict[str, Action] = field(default_factory=dict, init=False, repr=False)
    reactions: dict[str, Reaction] = field(default_factory=dict, init=False, repr=False)
    identifier: Function | None = field(default=None, init=False, repr=False)
    validator: Function | None = field(default=None, init=False, repr=False)
    entrance: Endpoint | None = field(default=None, init=False, repr=False)

    def identify(self, fn: Function) -> Function:
        """Decorate ``async fn(ctx) -> Profile``: asks the provider whose account this is, and so tries typed-in credentials."""
        self.identifier = fn
        return fn

    def validate(self, fn: Function) -> Function:
        """Decorate ``async fn(ctx) -> None``, called every ``auth.validate_every`` for each account; Reconnect says it is dead."""
        self.validator = fn
        return fn

    def endpoint(
        self,
        *,
        verify: Verify,
        secret: str | None = None,
        handshake: Callable[[WebhookDelivery], Answer | None] | None = None,
        reply: Callable[[WebhookDelivery], Answer] | None = None,
    ) -> Callable[[Callable[[WebhookDelivery], list[Routed]]], Endpoint]:
        """Decorate ``fn(delivery) -> list[Routed]``: what a verified delivery at ``/webhooks/<service>`` is about.

        ``secret`` is the setting with the provider's secret or public key; without it the platform makes one, given to
        `subscribe`. ``handshake`` answers probes in the provider's own way, after ``verify``, except for GET, which nobody signs.
        ``reply`` is the answer to an accepted delivery where that is not an empty 200.
        """

        def declare(fn: Callable[[WebhookDelivery], list[Routed]]) -> Endpoint:
            self.entrance = Endpoint(verify, fn, secret, handshake, reply)
            return self.entrance

        return declare

    def poll(
        self,
        title: str,
        *,
        every: timedelta,
        account: AccountUse | None = None,
        scopes: tuple[str, ...] = (),
    ) -> Callable[[Function], Action]:
        """Decorate ``async fn(ctx, where) -> list[Out] | Page[Out]``, called once in ``every``."""

        def declare(fn: Function) -> Action:
            use = self._use(account)
            return self._action(fn, title, Delivery.POLL, 1, _returned(fn), every=every, account=use, scopes=scopes)

        return declare

    def webhook(
        self,
        title: str,
        *,
        verify: Verify | None = None,
        app_level: bool = False,
        account: AccountUse | None = None,
        scopes: tuple[str, ...] = (),
        dedupe: str | Callable[[WebhookDelivery], str] | None = None,
        handshake: Callable[[Any, WebhookDelivery], Answer | None] | None = None,
        farewell: Callable[[Any, WebhookDelivery], Answer | None] | None = None,
        reply: Callable[[WebhookDelivery], Answer] | None = None,
    ) -> Callable[[Function], Action]:
        """Decorate ``fn(where, delivery) -> Out | list[Out] | None``; None, or none, means that the delivery fires nothing.

        ``verify`` has no default, except where ``app_level`` says that deliveries come by the service's `endpoint`, which verifies.
        ``dedupe`` names a delivery: a header, or ``fn(delivery)``; else it is the output's Identity. ``handshake(where, delivery)``
        answers the provider's probes at the hook's own address: GET as it comes, POST after ``verify``. ``farewell``, of the same
        form, answers GET once no AREA needs the hook: a provider that asks before it ends a subscription hears that it may.
        """
        if (verify is None) != app_level:
            raise TypeError(f"{title!r} of {self.key}: give verify=, or app_level=True with an endpoint that verifies")

        def declare(fn: Function) -> Action:
            return self._action(
                fn,
                title,
                Delivery.WEBHOOK,
                0,
                _returned(fn),
                verify=verify,
                app_level=app_level,
                account=self._use(account),
                scopes=scopes,
                dedupe=dedupe,
                handshake=handshake,
                farewell=farewell,
                reply=reply,
            )

        return declare

    def schedule(self, title: str) -> Callable[[Function], Action]:
        """Decorate ``fn(where, after) -> datetime | None``: the next due moment strictly after ``after``, in UTC."""

        def declare(fn: Function) -> Action:
            return self._action(fn, title, Delivery.SCHEDULE, 0, Tick)

        return declare

    def internal(self, title: str, *, watched: bool = True) -> Callable[[Function], Action]:
        """Decorate ``fn(where, payload: Out) -> bool``: whether an event of the platform itself matches.

        With ``watched=False`` nothing is looked at: its events are made by other runs.
        """

        def declare(fn: Function) -> Action:
            return self._action(fn, title, Delivery.MANUAL, 0, _parameter(fn, 1, Outputs), watched=watched)

        return declare

    def reaction(
        self,
        title: str,
        *,
        idempotent: bool | Callable[[Any], bool],
        timeout: float = 30.0,
        attempts: int = 5,
        pure: bool = False,
        account: AccountUse | None = None,
        scopes: tuple[str, ...] = (),
        control: Control | None = None,
    ) -> Callable[[Function], Reaction]:
        """Decorate ``async fn(ctx, inputs) -> Out``. ``pure`` means that nothing outside the run changes.

        ``timeout`` (in seconds, of one call) and ``attempts`` (in all) are used where the AREA says nothing else.
        """

        def declare(fn: Function) -> Reaction:
            reaction = Reaction(
                key=self._key(fn),
                name=title,
                description=_description(fn),
                service=self,
                inputs=_parameter(fn, 1, Inputs),
                outputs=_returned(fn),
                fn=fn,
                idempotent=idempotent,
                pure=pure,
                timeout=timeout,
                attempts=attempts,
                account=self._use(account),
                scopes=scopes,
                control=control,
            )
            self.reactions[reaction.key] = reaction
            return reaction

        return declare

    def _action(
        self,
        fn: Function,
        title: str,
        delivery: Delivery,
        position: int,
        outputs: type[Outputs],
        **more: Any,
    ) -> Action:
        action = Action(
            key=self._key(fn),
            name=title,
            description=_description(fn),
            service=self,
            delivery=delivery,
            inputs=_parameter(fn, position, Inputs),
            outputs=outputs,
            fn=fn,
            **more,
        )
        self.actions[action.key] = action
        return action

    def missing(self, settings: Mapping[str, str]) -> list[str]:
        """Names of the settings without which the service cannot work here; none where accounts can be connected by a key alone."""
        client = ("client_id", "client_secret") if self.auth and not self.key_auth else ()
        return [f"AREA_{self.key}_{name}".upper() for name in (*client, *self.needs) if not settings.get(name)]

    def _use(self, account: AccountUse | None) -> AccountUse:
        return account or ("required" if self.auth or self.key_auth else "none")

    def _key(self, fn: Function) -> str:
        key = f"{self.key}.{fn.__name__.rstrip('_')}"
        if key in self.actions or key in self.reactions:
            raise TypeError(f"{key} is declared twice: rename one of the functions")
        return key


def _description(fn: Function) -> str:
    text = inspect.getdoc(fn)
    if not text:
        raise TypeError(f"{fn.__qualname__} has no docstring: it is the description that users read")
    return " ".join(text.split())


def _parameter(fn: Function, position: int, base: type[ModelT]) -> type[ModelT]:
    names = list(inspect.signature(fn).parameters)
    model = get_type_hints(fn).get(names[position]) if len(names) > position else None
    if not (isinstance(model, type) and issubclass(model, base)):
        raise TypeError(
            f"parameter {position + 1} of {fn.__qualname__} must be annotated with a sdk.{base.__name__} model"
        )
    return model


def _returned(fn: Function) -> type[Outputs]:
    hint = get_type_hints(fn).get("return", Any)
    if hint is NoneType:
        return Outputs
    model = _unwrap(hint)
    if model is None:
        raise TypeError(f"{fn.__qualname__} must be annotated to return a sdk.Outputs model, a list or a Page of one")
    return model


def _unwrap(hint: Any) -> type[Outputs] | None:
    """The model in ``Out``, ``Out | None``, ``list[Out]``, ``Page[Out]`` or a union of those."""
    if isinstance(hint, type) and issubclass(hint, Outputs):
        return hint
    if get_origin(hint) in (list, Page, Union, UnionType):
        return next((model for model in map(_unwrap, get_args(hint)) if model is not None), None)
    return None
