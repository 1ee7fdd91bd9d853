"""docs/SETTINGS.md is what the code says."""

from pathlib import Path

from area.core.settings import Settings
from area.core.settings_table import table

ROOT = Path(__file__).parents[2]


def test_settings_page_is_up_to_date() -> None:
    """On a difference: .venv/bin/python -m area.core.settings_table > docs/SETTINGS.md"""
    assert (ROOT / "docs" / "SETTINGS.md").read_text() == table()


def test_example_names_settings_that_exist() -> None:
    names = {f"AREA_{name.upper()}" for name in Settings.model_fields}
    for line in (ROOT / ".env.example").read_text().splitlines():
        name, equals, _ = line.removeprefix("# ").partition("=")
        if equals and not name.startswith("AREA_EMAIL_"):
            assert name in names
