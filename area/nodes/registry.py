"""Finds every service: the modules of ``area.nodes``, then the entry points of the group ``area.nodes``.

Adding a service is adding a module that has ``service = sdk.Service(...)``; nothing else is edited.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib.metadata import entry_points
from typing import Any, TypeVar

import area.nodes
from area.nodes.sdk import Action, Reaction, Service

GROUP = "area.nodes"
PRIVATE = {"catalogue", "quality", "registry", "sdk"}

T = TypeVar("T")


class _Later(dict[str, T]):
    """A mapping whose entries are imported when they are asked for."""

    def __init__(self, registry: "Registry") -> None:
        super().__init__()
        self._registry = registry

    def __missing__(self, key: str) -> T:
        self._registry.bring(key)
        if dict.__contains__(self, key):
            return dict.__getitem__(self, key)
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def _all(self) -> "_Later[T]":
        self._registry.bring_all()
        return self

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._all())

    def __len__(self) -> int:
        return dict.__len__(self._all())

    def keys(self) -> Any:
        return dict.keys(self._all())

    def values(self) -> Any:
        return dict.values(self._all())

    def items(self) -> Any:
        return dict.items(self._all())


class UnknownComponent(KeyError):
    """No such service, action or reaction; ``suggestion`` is the nearest key, or None."""

    def __init__(self, kind: str, key: str, suggestion: str | None) -> None:
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        self.message = f"There is no {kind} {key!r}.{hint}"
        self.key = key
        self.suggestion = suggestion
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class Registry:
    """The services by key, and their actions and reactions by full key.

    Those of ``later`` are imported when they are first asked for: a worker has in memory the services that its runs use.
    Whoever looks through a whole mapping has all of them.
    """

    def __init__(self, services: Iterable[Service], later: Mapping[str, Callable[[], Service]] | None = None) -> None:
        self._later = dict(later or {})
        self.services: dict[str, Service] = _Later(self)
        self.actions: dict[str, Action] = _Later(self)
        self.reactions: dict[str, Reaction] = _Later(self)
        for service in services:
            self._add(service)

    def _add(self, service: Service) -> None:
        if dict.__contains__(self.services, service.key) or service.key in self._later:
            raise ValueError(f"two services have the key {service.key!r}: rename one of them")
        dict.__setitem__(self.services, service.key, service)
        dict.update(self.actions, service.actions)
        dict.update(self.reactions, service.reactions)

    def bring(self, key: str) -> None:
        """Import the service that ``key``, its own or a component's, belongs to."""
        name = key.partition(".")[0]
        if find := self._later.pop(name, None):
            service = find()
            if service.key != name:
                raise ValueError(f"the service found as {name!r} calls itself {service.key!r}: give both one name")
            self._add(service)

    def bring_all(self) -> None:
        """Import what has not been imported yet; from then on services are in the order of their keys."""
        if not self._later:
            return
        for key in list(self._later):
            self.bring(key)
        found = sorted(dict.values(self.services), key=lambda service: service.key)
        for mapping in (self.services, self.actions, self.reactions):
            mapping.clear()
        for service in found:
            self._add(service)

    def service(self, key: str) -> Service:
        """The service with this key. Raises: UnknownComponent."""
        return _find(self.services, "service", key)

    def action(self, key: str) -> Action:
        """The action with this key. Raises: UnknownComponent."""
        return _find(self.actions, "action", key)

    def reaction(self, key: str) -> Reaction:
        """The reaction with this key. Raises: UnknownComponent."""
        return _find(self.reactions, "reaction", key)


@lru_cache(maxsize=1)
def load() -> Registry:
    """Find every service, once per process; each is imported when it is first needed."""
    built_in = {module.name: partial(_built_in, module.name) for module in pkgutil.iter_modules(area.nodes.__path__)}
    built_in = {name: built_in[name] for name in sorted(built_in) if name not in PRIVATE and not name.startswith("_")}
    # What others have installed is small and seldom: it is imported at once, and may not take a built-in's key.
    return Registry(_installed(), built_in)


def _built_in(name: str) -> Service:
    service = getattr(importlib.import_module(f"area.nodes.{name}"), "service", None)
    if not isinstance(service, Service):
        raise TypeError(f"area/nodes/{name} has no `service = sdk.Service(...)`: add one, or list it in PRIVATE")
    return service


def _installed() -> Iterable[Service]:
    for entry in sorted(entry_points(group=GROUP), key=lambda found: found.name):
        loaded = entry.load()
        service = loaded if isinstance(loaded, Service) else getattr(loaded, "service", None)
        if not isinstance(service, Service):
            raise TypeError(f"entry point {entry.name} = {entry.value} of {GROUP} must name a sdk.Service")
        yield service


def _find(known: Mapping[str, T], kind: str, key: str) -> T:
    try:
        return known[key]
    except KeyError:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        raise UnknownComponent(kind, key, near[0] if near else None) from None
