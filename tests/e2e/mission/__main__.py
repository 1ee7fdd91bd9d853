"""``python -m tests.e2e.mission``: tells the story live, on a platform of its own that is gone afterwards."""

import asyncio
import logging
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from area.app.embedded import Embedded
from area.app.processes import EmbeddedError
from area.db.migrate import upgrade
from tests.e2e.mission.proof import as_told
from tests.e2e.mission.stage import staged
from tests.e2e.mission.story import Told, tell

STYLES = {
    "platform": "bold yellow",
    "ada": "bold cyan",
    "twitch": "bold magenta",
    "discord": "bold blue",
    "mail": "bold green",
    "feed": "dim",
}
TROUBLES = (AssertionError, EmbeddedError, OSError, TimeoutError)


class Teller:
    """Prints each line with the seconds since the beginning, and who it is about."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun = time.monotonic()

    def say(self, who: str, what: str) -> None:
        """Print one thing that happened."""
        first, *rest = what.splitlines()
        line = Text(f"{time.monotonic() - self._begun:6.2f} ", "dim").append(f"{who:<9}", STYLES[who])
        self.console.print(line.append(first, "dim" if who == "feed" else ""), soft_wrap=True)
        for more in rest:
            self.console.print(Text(" " * 16 + more), soft_wrap=True)


async def told(embedded: Embedded, folder: Path, teller: Teller) -> Told:
    """The story on these servers."""
    task, key = asyncio.current_task(), secrets.token_hex(32)
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # as Ctrl-C does by itself
    async with staged(embedded.database_url, embedded.redis_url, key, folder, teller.say) as stage:
        teller.say(
            "platform",
            f"API at {stage.client.url}, scheduler, worker {stage.worker.pid}; stand-ins for Twitch, Discord, SMTP",
        )
        return await tell(stage)


def main() -> int:
    """Tell it; 1 when something was not as told."""
    console = Console(highlight=False)
    teller = Teller(console)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # the mail server warns of names of its own
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="area-demo-"))
    folder.chmod(0o755)  # as root, Postgres runs as somebody else
    try:
        teller.say("platform", "starting Postgres and Redis")
        with Embedded(folder, durable=False) as embedded:
            upgrade(embedded.database_url)
            as_told(asyncio.run(told(embedded, folder, teller)))
    except TROUBLES as error:
        console.print(Text(f"Not as told. {type(error).__name__}: {error}", "bold red"), soft_wrap=True)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped before the end.", style="dim")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    console.print(Text("As told: two streams, two messages, two mails; nothing lost, nothing twice.", "bold green"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
