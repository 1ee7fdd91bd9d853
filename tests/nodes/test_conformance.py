"""What every node owes the platform, checked for each that is registered."""

import dataclasses
import inspect
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel, ValidationError

from area.core.errors import AreaError
from area.engine.areas import AreaDraft, ReactionDraft
from area.engine.checking import check_draft
from area.nodes import quality, sdk
from area.nodes.registry import Registry, UnknownComponent, load
from tests.nodes.rig import asked, choices_of, examples

CATALOGUE = Path(__file__).with_name("catalogue")
GRADES = Path(__file__).with_name("grades")
REGISTRY = load()
NODES: dict[str, sdk.Action | sdk.Reaction] = {**REGISTRY.actions, **REGISTRY.reactions}
EVERY_SERVICE = pytest.mark.parametrize("service", REGISTRY.services.values(), ids=REGISTRY.services.keys())
EVERY_NODE = pytest.mark.parametrize("node", NODES.values(), ids=NODES.keys())
EVERY_ACTION = pytest.mark.parametrize("action", REGISTRY.actions.values(), ids=REGISTRY.actions.keys())
EVERY_REACTION = pytest.mark.parametrize("reaction", REGISTRY.reactions.values(), ids=REGISTRY.reactions.keys())


def entry(node: sdk.Action | sdk.Reaction) -> dict[str, Any]:
    """What stored AREAs depend on: input names, which are required, and output names."""
    fields = node.inputs.model_fields
    return {
        "inputs": sorted(fields),
        "required": sorted(name for name, field in fields.items() if field.is_required()),
        "outputs": sorted(node.outputs.model_fields),
        "identity": getattr(node, "identity", None),
    }


@EVERY_SERVICE
def test_catalogue_is_as_committed(service: sdk.Service) -> None:
    """Keys and fields are stored in AREAs; AREA_UPDATE_CATALOGUE=1 accepts a change that is meant."""
    current = {key: entry(node) for key, node in sorted({**service.actions, **service.reactions}.items())}
    committed = CATALOGUE / f"{service.key}.json"
    if os.environ.get("AREA_UPDATE_CATALOGUE"):
        committed.write_text(json.dumps(current, indent=2) + "\n")
    assert committed.exists(), f"{committed.name} is missing: AREA_UPDATE_CATALOGUE=1 pytest tests/nodes writes it"
    assert current == json.loads(committed.read_text())


@EVERY_SERVICE
def test_grade_does_not_drop(service: sdk.Service) -> None:
    """What a service has reached it keeps; AREA_UPDATE_CATALOGUE=1 writes down what it has reached now."""
    root = Path(__file__).parents[2]
    committed = GRADES / f"{service.key}.json"
    found = quality.evidence(service, root)
    got = quality.report(service, found)
    if os.environ.get("AREA_UPDATE_CATALOGUE"):
        committed.write_text(json.dumps({"grade": got.grade.name.lower(), "exempt": found.exempt}, indent=2) + "\n")
    assert committed.exists(), f"{committed.name} is missing: AREA_UPDATE_CATALOGUE=1 pytest tests/nodes writes it"
    wanted = quality.Grade[json.loads(committed.read_text())["grade"].upper()]
    assert got.grade >= wanted, f"{service.key} was {wanted.name.lower()}, and now lacks {got.lacking()}"
    without = quality.report(service, dataclasses.replace(found, exempt={})).broken
    for what, why in found.exempt.items():
        rule, _, node = what.partition(":")
        assert any(told.startswith(node) for told in without.get(rule, ())), (
            f"{service.key} needs no exemption from {what}"
        )
        assert re.fullmatch(r"[A-Z].{19,}\.", why), f"{service.key}: say in a sentence why {what} cannot be kept"


def test_catalogue_has_no_service_that_is_gone() -> None:
    for folder in (CATALOGUE, GRADES):
        assert sorted(path.stem for path in folder.glob("*.json")) == sorted(REGISTRY.services)


@EVERY_SERVICE
def test_service_describes_itself(service: sdk.Service) -> None:
    assert service.name
    assert service.description.endswith(".")
    assert service.actions or service.reactions
    assert all(key.startswith(f"{service.key}.") for key in [*service.actions, *service.reactions])


@EVERY_NODE
def test_node_describes_itself(node: sdk.Action | sdk.Reaction) -> None:
    assert node.name
    assert node.description.endswith(".")


@EVERY_NODE
def test_fields_have_title_description_and_example(node: sdk.Action | sdk.Reaction) -> None:
    for model in (node.inputs, node.outputs):
        for name, field in model.model_fields.items():
            assert field.title, f"{node.key}.{name} has no title"
            assert field.description, f"{node.key}.{name} has no description"
            assert field.examples, f"{node.key}.{name} has no example"


@EVERY_NODE
def test_schemas_are_valid_and_inputs_are_closed(node: sdk.Action | sdk.Reaction) -> None:
    assert node.inputs.model_json_schema()["additionalProperties"] is False
    assert json.dumps(node.outputs.model_json_schema(mode="serialization"))


@EVERY_NODE
def test_sample_round_trips(node: sdk.Action | sdk.Reaction) -> None:
    sample = node.sample()
    assert set(sample) == set(node.outputs.model_fields)
    assert node.outputs.model_validate(json.loads(json.dumps(sample))).model_dump(mode="json") == sample


@EVERY_NODE
def test_markers_are_declared_on_fields_that_exist(node: sdk.Action | sdk.Reaction) -> None:
    def one(model: type[BaseModel]) -> list[str]:
        return list(sdk.marked(model, sdk.Identity))

    assert one(node.inputs) == []
    assert len(one(node.outputs)) <= 1
    for name in sdk.marked(node.inputs, sdk.Condition):
        assert node.inputs.model_fields[name].annotation is bool


@EVERY_ACTION
def test_action_declares_what_its_delivery_needs(action: sdk.Action) -> None:
    assert (action.every is not None) == (action.delivery is sdk.Delivery.POLL)
    assert (action.verify is not None or action.app_level) == (action.delivery is sdk.Delivery.WEBHOOK)
    assert (
        not action.app_level
        or (action.service.entrance is not None and action.topic_of is not None)
        or action.subscriber
    )
    assert (action.subscriber is None) == (action.unsubscriber is None)
    assert action.identity is not None or action.delivery is sdk.Delivery.WEBHOOK


@EVERY_REACTION
def test_reaction_declares_idempotency_and_a_bounded_timeout(reaction: sdk.Reaction) -> None:
    assert isinstance(reaction.idempotent, bool) or callable(reaction.idempotent)
    assert 0 < reaction.timeout <= 300
    assert not reaction.pure or reaction.idempotent is True


@EVERY_NODE
def test_examples_are_valid_inputs(node: sdk.Action | sdk.Reaction) -> None:
    """What the form shows as an example can be saved; text may have a template in it."""
    for name, field in node.inputs.model_fields.items():
        for example in field.examples or []:
            problems = problems_of(node.inputs, name, example)
            assert not problems, f"the example {example!r} of {node.key}.{name} is refused: {problems}"
    assert examples(node.inputs)


def problems_of(model: type[sdk.Inputs], name: str, value: Any) -> list[str]:
    """What the model says of one field's value; of the others nothing is said."""
    try:
        model.model_validate(asked({name: value}, model))
    except ValidationError as error:
        return [problem["msg"] for problem in error.errors() if problem["loc"][:1] == (name,)]
    return []


@EVERY_REACTION
def test_templates_are_taken_where_they_are_allowed(reaction: sdk.Reaction) -> None:
    fixed, conditions = (
        set(sdk.marked(reaction.inputs, sdk.NoTemplate)),
        set(sdk.marked(reaction.inputs, sdk.Condition)),
    )
    # What is rendered for each item is given as it is, with templates in it.
    fixed |= {name for name in sdk.marked(reaction.inputs, sdk.Later) if name == "config"}
    template = "{{ trigger.body.text }}"
    known = Registry({reaction.service.key: reaction.service, "webhook": REGISTRY.services["webhook"]}.values())
    plain = examples(reaction.inputs).model_dump(mode="json", exclude=conditions)
    plain = {name: template if "{{" in str(value) and name not in fixed else value for name, value in plain.items()}
    for name in reaction.inputs.model_fields:
        value = "trigger.body.total > 100" if name in conditions else template
        config = {**dict.fromkeys(conditions, "true"), **plain, name: value}
        problems: list[AreaError] = []
        draft = AreaDraft("Test", "webhook.received", {}, [ReactionDraft(reaction.key, config)])
        check_draft(known, draft, 5, problems)
        refused = [str(problem) for problem in problems if name in problem.path]
        assert bool(refused) == (name in fixed), f"a template in {reaction.key}.{name}: {refused or 'is taken'}"
        if name not in fixed:
            assert not problems, f"{reaction.key} cannot be saved with a template in {name}: {list(map(str, problems))}"


@EVERY_NODE
def test_choices_can_be_asked_for(node: sdk.Action | sdk.Reaction) -> None:
    for name, choices in choices_of(node.inputs):
        assert inspect.iscoroutinefunction(choices.fn), f"the choices of {node.key}.{name} are an async function"
        assert len(inspect.signature(choices.fn).parameters) == 2, (
            f"the choices of {node.key}.{name} take (ctx, so_far)"
        )


@EVERY_NODE
def test_scopes_are_asked_for_where_there_is_consent(node: sdk.Action | sdk.Reaction) -> None:
    assert node.account in ("required", "optional", "none")
    auth = node.service.auth
    assert node.account == "none" or auth or node.service.key_auth, (
        f"{node.key} wants an account that cannot be connected"
    )
    assert auth or not node.scopes, f"{node.key} names scopes, and {node.service.name} has no consent page"
    for scope in node.scopes:
        assert scope, f"{node.key} has a scope without a name"
        assert not set(scope) & set(" ,"), f"{node.key}: {scope!r} is several scopes; give each its own"


@EVERY_SERVICE
def test_consent_is_asked_for_properly(service: sdk.Service) -> None:
    """Addresses over TLS, without what AREA adds itself; whose account it is can be asked."""
    if service.auth:
        for url in (service.auth.authorize_url, service.auth.token_url, service.auth.revoke_url):
            parts = urlsplit(url or "https://none.example/none")
            assert parts.scheme == "https", f"{service.key}: {url} is not https"
            assert parts.netloc, f"{service.key}: {url} has no host"
            assert parts.path.startswith("/"), f"{service.key}: {url} has no path"
            assert not parts.query, f"{service.key}: give what {url} has after ? as parameters="
            assert not parts.fragment, f"{service.key}: {url} has a fragment"
        ours = {
            "client_id",
            "redirect_uri",
            "response_type",
            "state",
            "scope",
            "code_challenge",
            "code_challenge_method",
        }
        assert not ours & set(service.auth.parameters), (
            f"{service.key}: AREA sets {ours & set(service.auth.parameters)} itself"
        )
        for nonsense in (None, [], "text", {}, {"error": "invalid_grant"}, {"access_token": ""}, {"access_token": 5}):
            with pytest.raises(sdk.GrantRefused):
                service.auth.read_grant(nonsense)
    if service.auth or service.key_auth:
        assert service.identifier, f"{service.key}: decorate a function with @service.identify"
        assert service.docs_url is None or service.docs_url.startswith("https://")
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in service.needs)
    assert service.missing(dict.fromkeys(("client_id", "client_secret", *service.needs), "x")) == []


@EVERY_SERVICE
def test_typed_in_credentials_are_described_and_masked(service: sdk.Service) -> None:
    if service.key_auth is None:
        return
    secrets = set(sdk.marked(service.key_auth.fields, sdk.Secret))
    assert secrets, f"{service.key}: nothing that is typed in is marked as Secret"
    for name, field in service.key_auth.fields.model_fields.items():
        assert field.title, f"{service.key}: {name} has no title"
        assert field.description, f"{service.key}: {name} has no description"
        assert field.examples, f"{service.key}: {name} has no example"
        assert name in secrets or not re.search(r"password|secret|token|api_key", name), f"{service.key}: mask {name}"
    assert examples(service.key_auth.fields)


def test_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(UnknownComponent, match=r"Did you mean 'rss\.new_item'") as caught:
        REGISTRY.action("rss.new_itm")
    assert caught.value.suggestion == "rss.new_item"
    with pytest.raises(UnknownComponent) as caught:
        REGISTRY.reaction("nothing-like-it-at-all")
    assert caught.value.suggestion is None


def test_two_services_may_not_share_a_key() -> None:
    twin = sdk.Service(key="rss", name="Twin", description="A twin.")
    with pytest.raises(ValueError, match="two services"):
        Registry([twin, REGISTRY.services["rss"]])
