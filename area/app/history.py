"""Earlier versions of a committed file, from git."""

import shutil
import subprocess
from pathlib import Path

LOOKED_AT = 20
"""Commits of the file that are looked at."""


def earlier(path: Path) -> str | None:
    """The newest committed text of a file that differs from its present one; None without git, or when there is none."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*words: str) -> str:
        command = [git, *words]
        done = subprocess.run(command, cwd=path.absolute().parent, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        return done.stdout if done.returncode == 0 else ""

    present = path.read_text()
    for commit in ask("log", f"--max-count={LOOKED_AT}", "--format=%H", "--", path.name).split():
        text = ask("show", f"{commit}:./{path.name}")
        if text and text != present:
            return text
    return None
