"""How well a service is made: bronze, silver, gold or platinum, by rules that code checks.

A service has a grade when it keeps every rule of it and of the grades below. What its provider makes impossible is exempt, and the
reason stands beside the committed grade, in ``tests/nodes/grades/<service>.json``. docs/HOWTOCONTRIBUTE.md lists the rules.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from pydantic import BaseModel

from area.nodes.sdk import Action, Choices, Delivery, Reaction, Service, Unsigned, marked


class Grade(IntEnum):
    """What a service has reached."""

    NONE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3
    PLATINUM = 4


@dataclass(frozen=True)
class Evidence:
    """What the repository has for one service: its tests by path, its stand-in, its exemptions. Empty without a checkout."""

    own_tests: str = ""
    """The text of the service's test files."""
    stories: str = ""
    """The text of the tests that drive the engine or the API."""
    stand_in: bool = False
    exempt: dict[str, str] = field(default_factory=dict)
    """What the provider makes impossible, and why: a rule (``judged``), or a rule and a node (``repeatable:acme.write``)."""


@dataclass(frozen=True)
class Rule:
    """One promise. ``check`` yields what breaks it; ``concerns`` says for which services it has a meaning."""

    key: str
    grade: Grade
    text: str
    check: Callable[[Service, Evidence], Iterator[str]]
    concerns: Callable[[Service], bool] = lambda service: True


@dataclass(frozen=True)
class Report:
    """The grade of one service, and what is broken of each rule."""

    service: str
    grade: Grade
    broken: dict[str, list[str]]

    def lacking(self) -> dict[str, list[str]]:
        """What keeps the service from its next grade."""
        following = Grade(min(self.grade + 1, Grade.PLATINUM))
        keys = [rule.key for rule in RULES if rule.grade <= following]
        return {key: self.broken[key] for key in keys if key in self.broken}


def report(service: Service, evidence: Evidence) -> Report:
    """Check every rule."""
    broken = {}
    for rule in RULES:
        found = [told for told in rule.check(service, evidence) if not _excused(rule, told, evidence.exempt)]
        if found and rule.concerns(service):
            broken[rule.key] = found
    reached = Grade.NONE
    for grade in list(Grade)[1:]:
        if any(rule.key in broken for rule in RULES if rule.grade == grade):
            break
        reached = grade
    return Report(service.key, reached, broken)


def _excused(rule: Rule, told: str, exempt: dict[str, str]) -> bool:
    """What is broken begins with the node that breaks it."""
    return rule.key in exempt or f"{rule.key}:{told.partition(' ')[0]}" in exempt


def evidence(service: Service, root: Path) -> Evidence:
    """What a checkout at ``root`` has for the service."""
    tests = root / "tests"
    files = sorted(tests.glob("**/test_*.py"))
    own = [path.read_text() for path in files if re.search(rf"_{service.key}(_|\.)", path.name)]
    stories = [path.read_text() for folder in ("engine", "e2e") for path in sorted((tests / folder).glob("*.py"))]
    committed = tests / "nodes" / "grades" / f"{service.key}.json"
    return Evidence(
        own_tests="\n".join(own),
        stories="\n".join([*stories, *(text for text in own if re.search(r"\bWorld\b|\bliving\(|\bGraphQL\b", text))]),
        stand_in=(tests / "providers" / f"{service.key}.py").exists(),
        exempt=json.loads(committed.read_text())["exempt"] if committed.exists() else {},
    )


def checkout() -> Path | None:
    """The repository that this code is in; None when it is installed without its tests."""
    root = Path(__file__).parents[2]
    return root if (root / "tests" / "nodes").is_dir() else None


def _nodes(service: Service) -> list[Action | Reaction]:
    return [*service.actions.values(), *service.reactions.values()]


def _effects(service: Service) -> list[Reaction]:
    return [reaction for reaction in service.reactions.values() if not reaction.pure]


def _remote(service: Service) -> bool:
    """Whether it has a provider with an API of its own."""
    return bool(service.base_url or service.auth or service.key_auth)


def _api(service: Service) -> bool:
    return bool(service.base_url) and service.raise_for_status


def _described(service: Service, _: Evidence) -> Iterator[str]:
    if not service.description.endswith("."):
        yield "the service's description is no sentence"
    for node in _nodes(service):
        for model in (node.inputs, node.outputs):
            yield from _undescribed(node.key, model)


def _undescribed(key: str, model: type[BaseModel]) -> Iterator[str]:
    for name, described in model.model_fields.items():
        if not (described.title and described.description and described.examples):
            yield f"{key}.{name} wants title, description and example"


def _identified(service: Service, _: Evidence) -> Iterator[str]:
    for action in service.actions.values():
        if action.identity is None and action.dedupe is None and action.service.entrance is None and _remote(service):
            yield f"{action.key} has neither an Identity nor dedupe="


def _connects(service: Service, _: Evidence) -> Iterator[str]:
    if service.identifier is None:
        yield "nothing is decorated with @service.identify"
    if service.key_auth and not service.key_auth.help:
        yield "key_auth says nowhere where its credentials are found (help=)"


def _documented(service: Service, _: Evidence) -> Iterator[str]:
    if not service.docs_url:
        yield "docs_url= does not say where the provider documents its API"


def _tested(service: Service, found: Evidence) -> Iterator[str]:
    if not found.own_tests:
        yield f"there is no tests/nodes/test_{service.key}.py"


def _judged(service: Service, _: Evidence) -> Iterator[str]:
    if service.judge is None:
        yield "judge= does not say what the provider's errors mean"


def _repeatable(service: Service, _: Evidence) -> Iterator[str]:
    for reaction in _effects(service):
        if reaction.idempotent is False and reaction.reconciler is None:
            yield f"{reaction.key} sends no idempotency key, and has no @reconcile"


def _subscriptions(service: Service, _: Evidence) -> Iterator[str]:
    for action in service.actions.values():
        if action.subscriber and not action.unsubscriber:
            yield f"{action.key} subscribes and never unsubscribes"
        if action.subscriber and not action.still_there:
            yield f"{action.key} cannot ask whether its subscription is there (@is_subscribed)"


def _stands_in(service: Service, found: Evidence) -> Iterator[str]:
    if not found.stand_in:
        yield f"there is no stand-in, tests/providers/{service.key}.py"


def _each_tested(service: Service, found: Evidence) -> Iterator[str]:
    for node in _nodes(service):
        if not re.search(rf"\b{node.fn.__name__}\b|{re.escape(node.key)}", found.own_tests):
            yield f"{node.key} is in no test of the service"


CHOSEN = re.compile(
    r"^(channel|conversation|repo(sitory)?|calendar|playlist|board|database|data_source|guild|server|label|folder|spreadsheet|sheet"
    r"|team|role|project|workflow|branch|mailbox|page|list|chat|milestone|assignee)(_id|_name|s)?$"
)


def _chosen(service: Service, _: Evidence) -> Iterator[str]:
    for node in _nodes(service):
        if node.account == "none":
            continue
        offered = set(marked(node.inputs, Choices))
        for name in node.inputs.model_fields:
            if CHOSEN.match(name) and name not in offered:
                yield f"{node.key}.{name} offers no Choices"


def _scoped(service: Service, _: Evidence) -> Iterator[str]:
    if service.auth and not service.auth.scopes and not any(node.scopes for node in _nodes(service)):
        yield "no node names the scopes that it needs"


def _contracted(service: Service, found: Evidence) -> Iterator[str]:
    if not re.search(r"\bcontract\(", found.own_tests):
        yield "no test holds its requests to the provider's specification (the fixture `contract`)"


def _signed(service: Service, _: Evidence) -> Iterator[str]:
    proofs = [(action.key, action.verify) for action in service.actions.values() if action.delivery is Delivery.WEBHOOK]
    proofs += [("the endpoint", service.entrance.verify)] if service.entrance else []
    for what, proof in proofs:
        if isinstance(proof, Unsigned):
            yield f"{what} takes deliveries that nobody signed"


def _faulted(service: Service, found: Evidence) -> Iterator[str]:
    if "Fault(" not in found.own_tests:
        yield "no test has the stand-in fail in the middle (Fault)"


def _told(service: Service, found: Evidence) -> Iterator[str]:
    for kind, nodes in (("actions", service.actions), ("reactions", service.reactions)):
        if nodes and not any(re.search(rf"[\"']{re.escape(key)}[\"']", found.stories) for key in nodes):
            yield f"none of its {kind} runs through the engine in a test (tests/e2e, or one that uses World)"


RULES = [
    Rule(
        "described", Grade.BRONZE, "Service, nodes and fields have a title, a description and an example.", _described
    ),
    Rule("identified", Grade.BRONZE, "Every action names what makes an event the same event.", _identified),
    Rule(
        "connects",
        Grade.BRONZE,
        "It is asked whose account was connected, and help says where typed-in credentials are found.",
        _connects,
        lambda service: bool(service.auth or service.key_auth),
    ),
    Rule("documented", Grade.BRONZE, "`docs_url` names the provider's own documentation.", _documented, _remote),
    Rule("tested", Grade.BRONZE, "It has a test file of its own.", _tested),
    Rule("judged", Grade.SILVER, "The provider's own errors are mapped to what the engine must do.", _judged, _api),
    Rule(
        "repeatable", Grade.SILVER, "Each effect takes an idempotency key, or can be asked for afterwards.", _repeatable
    ),
    Rule("subscriptions", Grade.SILVER, "Subscriptions are ended, and asked whether they are there.", _subscriptions),
    Rule("stand-in", Grade.SILVER, "A stand-in of its provider is in `tests/providers/`.", _stands_in, _api),
    Rule("each-tested", Grade.SILVER, "Every action and reaction is in a test.", _each_tested),
    Rule(
        "chosen", Grade.GOLD, "What the account has (channels, repositories, calendars) is offered as choices.", _chosen
    ),
    Rule("scoped", Grade.GOLD, "Consent is asked for no more than is needed: nodes name their scopes.", _scoped),
    Rule("contract", Grade.GOLD, "Requests are held to the provider's specification.", _contracted, _api),
    Rule("signed", Grade.GOLD, "Deliveries prove their sender.", _signed),
    Rule(
        "faults",
        Grade.PLATINUM,
        "Its stand-in fails in the middle of calls, and the outcome is asserted.",
        _faulted,
        _api,
    ),
    Rule(
        "story", Grade.PLATINUM, "One of its actions and one of its reactions run through the engine in a test.", _told
    ),
]
