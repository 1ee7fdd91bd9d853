"""``area new-service``: a service's module, its stand-in and its test, which work as they are, to be changed piece by piece."""

import keyword
import re
from pathlib import Path
from string import Template

from area.core.errors import CommandError

TEMPLATES = Path(__file__).with_name("templates")
FILES = {
    "area/nodes/{name}.py": "service.py.txt",
    "tests/providers/{name}.py": "stand_in.py.txt",
    "tests/nodes/test_{name}.py": "test_service.py.txt",
}
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class ScaffoldError(CommandError):
    """It cannot be made; the message says why, and nothing was written."""


def scaffold(name: str, root: Path) -> list[Path]:
    """Write a new service's files into the repository at ``root``. Raises: ScaffoldError, also for a file that is there already."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ScaffoldError(f"{name!r} is no name for a service: lower-case letters, digits and _, as in my_service.")
    if not (root / "area" / "nodes").is_dir() or not (root / "tests" / "nodes").is_dir():
        raise ScaffoldError("Run this at the top of AREA's repository: there is no area/nodes and tests/nodes here.")
    paths = {root / path.format(name=name): template for path, template in FILES.items()}
    there = [path for path in (root / "area" / "nodes" / name, *paths) if path.exists()]
    if there:
        raise ScaffoldError(
            f"{there[0].relative_to(root)} is there already; nothing is overwritten. Choose another name."
        )
    title = name.replace("_", " ").title()
    words = {
        "name": name,
        "title": title,
        "class_": title.replace(" ", ""),
        "host": f"{name.replace('_', '-')}.example",
    }
    words["imports"] = ", ".join(sorted([name, "sdk"]))
    for path, template in paths.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(Template((TEMPLATES / template).read_text()).substitute(words))
    return list(paths)
