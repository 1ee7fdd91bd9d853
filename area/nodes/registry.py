"""Finds every service: the modules of ``area.nodes``, then the entry points of the group ``area.nodes``.

Adding a service is adding a module that has ``service = sdk.Service(...)``; nothing else is edited.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TypeVar

import area.nodes
from area.nodes.sdk import Action, Reaction, Service

GROUP = "area.nodes"
PRIVATE = {"registry", "sdk"}

T = TypeVar("T")


class UnknownComponent(KeyError):
    """No such action or reaction; ``suggestion`` is the nearest key, or None."""

    def __init__(self, kind: str, key: str, suggestion: str | None) -> None:
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        self.message = f"There is no {kind} {key!r}.{hint}"
        self.key = key
        self.suggestion = suggestion
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class Registry:
    """The services by key, and their actions and reactions by full key."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services: dict[str, Service] = {}
        self.actions: dict[str, Action] = {}
        self.reactions: dict[str, Reaction] = {}
        for service in services:
            if service.key in self.services:
                raise ValueError(f"two services have the key {service.key!r}: rename one of them")
            self.services[service.key] = service
            self.actions |= service.actions
            self.reactions |= service.reactions

    def action(self, key: str) -> Action:
        """The action with this key. Raises: UnknownComponent."""
        return _find(self.actions, "action", key)

    def reaction(self, key: str) -> Reaction:
        """The reaction with this key. Raises: UnknownComponent."""
        return _find(self.reactions, "reaction", key)


@lru_cache(maxsize=1)
def load() -> Registry:
    """Import every service, once per process."""
    return Registry([*_built_in(), *_installed()])


def _built_in() -> Iterable[Service]:
    for module in sorted(pkgutil.iter_modules(area.nodes.__path__), key=lambda found: found.name):
        if module.name not in PRIVATE:
            service = getattr(importlib.import_module(f"area.nodes.{module.name}"), "service", None)
            if isinstance(service, Service):
                yield service


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
