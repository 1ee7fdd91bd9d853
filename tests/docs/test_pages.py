"""The pages name the commands, fields, codes and services that exist, and lead nowhere that does not."""

import re
from pathlib import Path

from area.app.cli import cli
from area.graphql.formatting import CODES
from area.graphql.schema import schema
from area.nodes.registry import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "API_SPEC.md").read_text()


def test_readme_lists_each_command_and_no_other() -> None:
    section = README.split("## Commands")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    commands = {str(command.name or command.callback.__name__) for command in cli.registered_commands}  # type: ignore[union-attr]
    assert set(listed) == commands | {str(group.name) for group in cli.registered_groups}


def test_readme_names_each_service() -> None:
    status = README.split("## Services")[1].lower()
    assert [key for key in load().services if key not in status] == []


def test_api_page_names_each_root_field() -> None:
    inner = schema._schema
    roots = (inner.query_type, inner.mutation_type, inner.subscription_type)
    names = [name for root in roots if root for name in root.fields]
    assert [name for name in names if not re.search(rf"`{name}[`(]", API)] == []


def test_api_page_names_each_error_code() -> None:
    assert [code for code in sorted(CODES) if f"`{code}`" not in API] == []


def test_decisions_are_numbered_in_a_row() -> None:
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_links_lead_somewhere() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


def test_links_within_a_page_name_a_heading() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text()):
            if "://" in target:
                continue
            text = ((page.parent / target) if target else page).read_text()
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {target}#{anchor}"
