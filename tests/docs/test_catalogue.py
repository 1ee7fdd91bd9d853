"""docs/CATALOGUE.md is what the code says."""

from pathlib import Path

from area.nodes.catalogue import page
from area.nodes.registry import load

PAGE = Path(__file__).parents[2] / "docs" / "CATALOGUE.md"


def test_catalogue_page_is_up_to_date() -> None:
    """On a difference: .venv/bin/python -m area.nodes.catalogue > docs/CATALOGUE.md"""
    assert PAGE.read_text() == page()


def test_it_lists_every_service_node_input_and_output() -> None:
    text = PAGE.read_text()
    for service in load().services.values():
        assert f"\n## {service.name}\n" in text
        for setting in service.missing({}):
            assert f"`{setting}`" in text
        for node in (*service.actions.values(), *service.reactions.values()):
            part = text.split(f"\n`{node.key}` — ")[1].split("\n### ")[0].split("\n## ")[0]
            assert node.description in part
            for name in (*node.inputs.model_fields, *node.outputs.model_fields, *node.scopes):
                assert f"`{name}`" in part, f"{node.key}: {name}"
