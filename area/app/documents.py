"""``area documents``: which GraphQL documents frontends may name by hash, or may send at all.

GraphQL is loaded by the command that needs it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from area.core.settings import load_settings
from area.db.session import open_database

ResultT = TypeVar("ResultT")

cli = typer.Typer(no_args_is_help=True, help="Register the GraphQL documents of a frontend.")
out = Console(highlight=False)


@cli.command()
def register(
    file: Annotated[Path, typer.Argument(help="A manifest: JSON of hashes and documents, as build tools write it.")],
) -> None:
    """Check every document of a manifest and let them be used; a wrong one stops all."""
    from area.graphql import trusted
    from area.graphql.documents import Documents
    from area.graphql.schema import schema

    try:
        text = file.read_text()
    except OSError as error:
        raise trusted.ManifestError(f"{file} cannot be read: {error.strerror}.") from None
    entries = trusted.read_manifest(text, Documents(schema._schema))
    _do(lambda pool: trusted.register(pool, entries))
    out.print(f"{len(entries)} documents of {file} are registered.")


@cli.command("list")
def show() -> None:
    """List what is registered."""
    from area.graphql import trusted

    table = Table("Hash", "Operations", "Since")
    for key, name, since in _do(trusted.listed):
        table.add_row(key, name, f"{since:%Y-%m-%d %H:%M}")
    out.print(table)


@cli.command()
def remove(hashes: Annotated[list[str], typer.Argument(help="Hashes as `list` shows them.")]) -> None:
    """Let documents be used no more."""
    from area.graphql import trusted

    gone = _do(lambda pool: trusted.remove(pool, hashes))
    out.print(f"{gone} of {len(hashes)} documents were registered, and are not any more.")


def _do(action: Callable[[asyncpg.Pool], Awaitable[ResultT]]) -> ResultT:
    async def run() -> ResultT:
        database = await open_database(load_settings())
        try:
            return await action(database.pool)
        finally:
            await database.close()

    return asyncio.run(run())
