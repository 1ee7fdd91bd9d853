"""What every node owes the platform, checked for each that is registered."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from area.nodes import sdk
from area.nodes.registry import Registry, UnknownComponent, load

CATALOGUE = Path(__file__).with_name("catalogue")
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


def test_catalogue_has_no_service_that_is_gone() -> None:
    assert sorted(path.stem for path in CATALOGUE.glob("*.json")) == sorted(REGISTRY.services)


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
