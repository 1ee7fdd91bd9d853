"""``area dev``: the whole platform on this machine, with nothing installed."""

import asyncio
import errno
import os
import secrets
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import asyncpg
from dotenv import dotenv_values
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from area.app.demo import DEMO_EMAIL, DEMO_PASSWORD, Seeded
from area.app.embedded import Embedded
from area.app.processes import EmbeddedError
from area.app.standing_in import World, standing_in
from area.app.supervisor import Supervisor
from area.core import log
from area.core.settings import Settings, load_settings
from area.db.session import plain_url

logger = log.get(__name__)

READY_SECONDS = 60.0
REACH_SECONDS = 10.0
TICK_SECONDS = 0.2
COMMANDS = ["api", "scheduler", "worker"]
"""In the order in which they stop: no new work first."""


def run(port: int | None = None, *, stand_ins: bool = False) -> None:
    """Start everything and stay until Ctrl-C; with ``stand_ins``, the providers too. Raises: EmbeddedError, SettingsError."""
    console = Console(stderr=True, highlight=False)
    given = {name: value for name, value in dotenv_values(".env").items() if value} | dict(os.environ)
    with _interruptible():
        try:
            with standing_in() if stand_ins else nullcontext() as world:
                _run(console, given | (world.environment if world else {}), port, world)
        except KeyboardInterrupt:
            console.print("Stopped. Data is kept.", style="dim")


def _run(console: Console, given: dict[str, str], port: int | None, world: World | None) -> None:
    host = given.get("AREA_HOST", "127.0.0.1")
    number = port or _port(given)
    require_free(host, number)
    data_dir = Path(given.get("AREA_DATA_DIR", ".area")).absolute()
    postgres, redis = given.get("AREA_DATABASE_URL", ""), given.get("AREA_REDIS_URL", "")
    with Embedded(data_dir, with_postgres=not postgres, with_redis=not redis) as embedded:
        chosen = {
            "AREA_DATABASE_URL": postgres or embedded.database_url,
            "AREA_REDIS_URL": redis or embedded.redis_url,
            "AREA_SECRET_KEY": given.get("AREA_SECRET_KEY") or secret_key(data_dir),
            "AREA_PUBLIC_URL": given.get("AREA_PUBLIC_URL") or f"http://127.0.0.1:{number}",
            "AREA_EGRESS_ALLOW": given.get("AREA_EGRESS_ALLOW") or "127.0.0.0/8,::1/128",
            "AREA_DATA_DIR": str(data_dir),
            "AREA_HOST": host,
            "AREA_PORT": str(number),
            "AREA_DEV": "1",
        }
        os.environ.update(chosen | (world.environment if world else {}))
        settings = load_settings()
        log.configure(settings.log_level)
        supervisor = Supervisor(COMMANDS, chosen)
        try:
            with _answering():
                asyncio.run(_reach(settings))
                supervisor.tick()  # they load, and wait for the migrations, while the demo is planted
                seeded = _plant(settings)
            _start(supervisor, settings)
            console.print(banner(settings, seeded, world))
            if seeded.hook_url:
                console.print(Text(curl(seeded.hook_url), style="bold"), soft_wrap=True)
            _stay(supervisor, embedded)
        finally:
            _ignore_signals()
            supervisor.close()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (OSError, asyncpg.PostgresError) as error:
        raise EmbeddedError(
            f"The database does not answer as it should ({type(error).__name__}: {error}); "
            "check AREA_DATABASE_URL and AREA_REDIS_URL, or unset them to let `area dev` start its own."
        ) from error


async def _reach(settings: Settings) -> None:
    connection = await asyncpg.connect(plain_url(settings.database_url.get_secret_value()), timeout=REACH_SECONDS)
    await connection.close()


def _plant(settings: Settings) -> Seeded:
    # Loaded only now: most of the platform is behind it, and the processes can load at the same time.
    from area.app.seed import plant

    return asyncio.run(plant(settings))


def _start(supervisor: Supervisor, settings: Settings) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_up(f"http://{settings.host}:{settings.port}/healthz"):
        supervisor.tick()
        if supervisor.crashes("api") > 2 or time.monotonic() > deadline:
            raise EmbeddedError("The API does not start; the lines above say why, and `area doctor` may know more.")
        time.sleep(0.05)


def _stay(supervisor: Supervisor, embedded: Embedded) -> None:
    while True:
        time.sleep(TICK_SECONDS)
        for name in embedded.revive():
            logger.warning("dev.restarted", server=name)
        supervisor.tick()


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _port(given: dict[str, str]) -> int:
    value = given.get("AREA_PORT", "8000")
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise EmbeddedError(f"AREA_PORT is {value!r}; set it to a number from 1 to 65535.")
    return int(value)


def require_free(host: str, port: int) -> None:
    """Raises: EmbeddedError when somebody listens there already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EmbeddedError(
                    f"Port {port} is in use by another program; stop it, or take another port: "
                    f"AREA_PORT={port + 1} make dev."
                ) from None
            raise EmbeddedError(
                f"Cannot listen on {host}:{port} ({error.strerror}); set AREA_HOST and AREA_PORT."
            ) from None


def secret_key(data_dir: Path) -> str:
    """This installation's secret key, made at the first start and kept for the owner's eyes."""
    path = data_dir / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text().strip()


def curl(hook_url: str) -> str:
    """A line to paste into a terminal."""
    return f"""curl -d '{{"name":"Ada"}}' -H 'content-type: application/json' {hook_url}"""


def banner(settings: Settings, seeded: Seeded, world: World | None = None) -> Panel:
    """What to open, and as whom."""
    text = Text()
    for label, value, style in (
        ("GraphiQL ", f"{settings.public_url}/graphql", "bold cyan underline"),
        ("Sign in  ", f"{DEMO_EMAIL}  /  {DEMO_PASSWORD}", "green"),
        ("Watch    ", "area watch  (live, in another terminal: .venv/bin/area watch)", ""),
        *((("Stand-ins", f" {world.page}", "bold cyan underline"),) if world else ()),
        ("Stop     ", "Ctrl-C; data stays", ""),
    ):
        text.append(label, "dim").append(value + "\n", style)
    text.append("Fire the demo webhook:" if seeded.hook_url else "The demo webhook was deleted.", "dim")
    return Panel(text, title="[bold]AREA is running[/bold]", border_style="green", expand=False)


def _stop_signals() -> list[signal.Signals]:
    return [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # One stop is enough: a second Ctrl-C must not leave half of the processes behind.
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in _stop_signals():
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _interruptible() -> Iterator[None]:
    before = {number: signal.signal(number, _interrupt) for number in _stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
