"""The command ``area``. Each command imports what only it needs, so that none waits for what the others do."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from area.app import documents
from area.app.demo import DEMO_EMAIL, DEMO_PASSWORD
from area.app.main import fail, sentences, serve
from area.core import log
from area.core.settings import Settings, load_settings

SCHEMA = Path("schema.graphql")

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="AREA: one action, many reactions, nothing lost.",
)
out = Console(highlight=False)


def _settings() -> Settings:
    settings = load_settings()
    log.configure(settings.log_level, json=settings.log_json)
    return settings


@cli.command()
def dev(
    port: Annotated[int | None, typer.Option(help="Port of the API; default AREA_PORT or 8000.")] = None,
    stand_ins: Annotated[
        bool,
        typer.Option("--stand-ins", help="Stand-ins for the providers too, to connect accounts without real ones."),
    ] = False,
) -> None:
    """Run everything on this machine, with a Postgres and a Redis of its own."""
    from area.app.dev import run

    run(port, stand_ins=stand_ins)


@cli.command()
def api() -> None:
    """Serve the API."""
    serve("api")


@cli.command()
def worker() -> None:
    """Execute runs."""
    serve("worker")


@cli.command()
def scheduler() -> None:
    """Poll, keep timers, sweep."""
    serve("scheduler")


@cli.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    from area.db.migrate import upgrade

    upgrade(_settings().database_url.get_secret_value())
    out.print("The database is up to date.")


@cli.command()
def schema(
    check: Annotated[
        bool, typer.Option("--check", help="Compare with schema.graphql; exit 1 on a difference.")
    ] = False,
    breaking: Annotated[
        bool,
        typer.Option("--breaking", help="Compare with the committed schema before; exit 1 when clients would break."),
    ] = False,
) -> None:
    """Print the GraphQL schema."""
    from area.graphql.sdl import sdl

    text = sdl().strip() + "\n"
    if breaking:
        _breaking(text)
    elif not check:
        sys.stdout.write(text)
    elif not SCHEMA.exists() or SCHEMA.read_text() != text:
        fail(f"{SCHEMA} is not what the code says; run `make schema`, look at the difference, and commit it.")
    else:
        out.print(f"{SCHEMA} is up to date.")


def _breaking(text: str) -> None:
    from area.app.history import earlier
    from area.graphql.breaking import RECORD, problems

    before = earlier(SCHEMA)
    recorded = RECORD.read_text() if RECORD.exists() else ""
    found = problems(before, text, recorded, datetime.now(UTC).date()) if before else []
    if found:
        listed = "\n".join(f"  {line}" for line in found)
        fail(
            f"The schema breaks its clients:\n{listed}\nKeep what was there and deprecate it, or record the decision in {RECORD}: "
            "the line as it is above, then ' # ' and why."
        )
    what = "breaks nothing that its clients had before" if before else "has no earlier version here to compare with"
    out.print(f"{SCHEMA} {what}.")


cli.add_typer(documents.cli, name="documents")


@cli.command()
def services(
    graded: Annotated[
        bool, typer.Option("--quality", help="Show each one's grade, and what its next grade lacks.")
    ] = False,
) -> None:
    """List every service with its actions and reactions."""
    from area.nodes.registry import load

    if graded:
        return _grades()
    table = Table("Service", "Component", "What it does")
    for service in load().services.values():
        for kind, components in (("action", service.actions), ("reaction", service.reactions)):
            for component in components.values():
                table.add_row(service.name, f"{component.key} [dim]{kind}[/dim]", component.name)
    out.print(table)
    return None


keys = typer.Typer(no_args_is_help=True, help="The key that secrets are sealed with.")
cli.add_typer(keys, name="keys")


@keys.callback()
def _keys() -> None:
    """The key that secrets are sealed with."""


@keys.command()
def rotate() -> None:
    """Seal every secret with AREA_SECRET_KEY, while everything runs; AREA_OLD_SECRET_KEYS has the keys before it."""
    from area.app.keys import rotate_keys

    done = asyncio.run(rotate_keys(_settings()))
    for place in done:
        out.print(f"{place.name}: {place.sealed} sealed with the present key")
    lost = [place for place in done if place.unreadable]
    if lost:
        told = ", ".join(f"{place.unreadable} of {place.name}" for place in lost)
        fail(f"Not readable: {told}. Put the key that sealed them into AREA_OLD_SECRET_KEYS and run this again.")
    out.print("Done: keys in AREA_OLD_SECRET_KEYS are not needed any more, once no process seals with them.")


def _grades() -> None:
    from area.nodes import quality
    from area.nodes.registry import load

    root = quality.checkout()
    table = Table("Service", "Grade", "What the next grade lacks")
    for service in load().services.values():
        evidence = quality.evidence(service, root) if root else quality.Evidence()
        report = quality.report(service, evidence)
        lacking = [told for found in report.lacking().values() for told in found]
        more = f"\n… and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        table.add_row(service.key, report.grade.name.lower(), escape("\n".join(lacking[:5]) + more))
    out.print(table)
    if root is None:
        out.print("Without the repository's tests at hand, services get no grade for them.")


@cli.command("new-service")
def new_service(name: Annotated[str, typer.Argument(help="Its key, such as github.", show_default=False)]) -> None:
    """Write a new service's module, stand-in and test, to start from."""
    from area.app.scaffold import scaffold

    made = scaffold(name, Path.cwd())
    out.print("\n".join(f"Made {path.relative_to(Path.cwd())}" for path in made))
    out.print(
        "Now: AREA_UPDATE_CATALOGUE=1 .venv/bin/pytest tests/nodes    (docs/HOWTOCONTRIBUTE.md goes on from here)"
    )


@cli.command("watch")
def watch_feed(
    url: Annotated[str, typer.Option(help="Address of the API.")] = "http://127.0.0.1:8000",
    email: Annotated[str, typer.Option(help="Whose feed.")] = DEMO_EMAIL,
    password: Annotated[str, typer.Option(envvar="AREA_WATCH_PASSWORD", show_default=False)] = DEMO_PASSWORD,
    token: Annotated[
        str | None, typer.Option(envvar="AREA_WATCH_TOKEN", help="An API token, instead of mail and password.")
    ] = None,
) -> None:
    """Follow an account's runs live."""
    from area.app.watch import watch

    asyncio.run(watch(url.rstrip("/"), email, password, out, token))


@cli.command()
def doctor() -> None:
    """Look at settings, Postgres, Redis, migrations and the clock; say what to mend."""
    from area.app.doctor import examine

    findings = asyncio.run(examine())
    for finding in findings:
        mark = "[red]✗[/red]" if finding.mend else "[green]✓[/green]"
        out.print(f"{mark} {finding.what}: {finding.found}")
        if finding.mend:
            out.print(f"  → {finding.mend}")
    raise typer.Exit(1 if any(finding.mend for finding in findings) else 0)


if __name__ == "__main__":
    with sentences():
        cli()
