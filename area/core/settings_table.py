"""The table of settings in docs/SETTINGS.md: ``python -m area.core.settings_table > docs/SETTINGS.md``."""

import sys
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from area.core.settings import Settings

HEAD = """# Settings

<!-- Made by `python -m area.core.settings_table > docs/SETTINGS.md`; edit area/core/settings.py, not this file. -->

Every setting is an environment variable, or a line in a file `.env` beside the process; the environment wins. They are read
once, at start: a missing or wrong one stops the process with the variable's name and how to mend it. Secrets are kept out of logs.

`area dev` needs none of them. It starts its own Postgres and Redis where their addresses are unset, makes a secret key under
`AREA_DATA_DIR`, allows outgoing requests to loopback, and switches `AREA_DEV` on.

| Variable | Type | Default | Meaning |
| --- | --- | --- | --- |
"""

TAIL = """
## Settings of one service

`AREA_<SERVICE>_<NAME>` reaches the nodes of that service alone, as `ctx.settings["<name>"]` in lower case: `AREA_EMAIL_SMTP_URL`
is `smtp_url` of the service `email`. `AREA_<SERVICE>_BASE_URL` replaces the base URL that the service declares, for a self-hosted
provider or a stand-in in tests.
"""


def table() -> str:
    """The whole of docs/SETTINGS.md."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return HEAD + "\n".join(rows) + "\n" + TAIL


def _row(name: str, field: FieldInfo) -> str:
    cells = (f"`AREA_{name.upper()}`", _type(field.annotation), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Any) -> str:
    options = [option for option in get_args(annotation) if option is not NoneType]
    if get_origin(annotation) is list:
        return "list"
    if options:
        return _type(options[0])
    names = {SecretStr: "secret", str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
    return names.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == []:
        return "unset"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(table())
