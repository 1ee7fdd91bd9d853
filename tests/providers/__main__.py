"""Every stand-in in one process, for `area dev --stand-ins`: ``python -m tests.providers``.

Prints one line of JSON, ``{"page": address, "environment": {...}}``, and serves until it is told to stop. On the page a person
finds each provider, and can make things happen there.
"""

import asyncio
import importlib
import json
import pkgutil
import signal
import sys
from html import escape

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

import tests.providers
from tests.providers.base import StandIn, serving

STYLE = "body{font:16px system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}button{font:inherit;margin:.2rem}"


def all_of_them() -> list[StandIn]:
    """Those of services; the example of the tests is left out."""
    modules = [
        importlib.import_module(f"tests.providers.{m.name}") for m in pkgutil.iter_modules(tests.providers.__path__)
    ]
    return [module.make() for module in modules if hasattr(module, "make") and not module.__name__.endswith(".acme")]


def page(standins: list[StandIn]) -> Starlette:
    """What there is, and what can be made to happen."""

    async def show(_request: Request) -> Response:
        rows = []
        for standin in standins:
            people = ", ".join(escape(user.name) for user in standin.users) or "nobody"
            hint = f"<p>{escape(standin.hint)}</p>" if standin.hint else ""
            buttons = "".join(
                f'<form method="post" action="/{standin.service}/{number}"><button>{escape(name)}</button></form>'
                for number, name in enumerate(standin.tricks())
            )
            rows.append(f"<h2>{escape(standin.service)}</h2><p>{escape(standin.url)}, with {people}</p>{hint}{buttons}")
        return HTMLResponse(
            f"<!doctype html><title>Stand-ins</title><style>{STYLE}</style><h1>Stand-ins</h1>{''.join(rows)}"
        )

    async def do(request: Request) -> Response:
        standin = next((one for one in standins if one.service == request.path_params["service"]), None)
        tricks = list(standin.tricks().values()) if standin else []
        if request.path_params["number"] < len(tricks):
            await tricks[request.path_params["number"]]()
        return RedirectResponse("/", 303)

    return Starlette(routes=[Route("/", show), Route("/{service}/{number:int}", do, methods=["POST"])])


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    standins = all_of_them()
    async with serving(*standins) as environment:
        server = uvicorn.Server(uvicorn.Config(page(standins), port=0, log_level="critical", lifespan="off", ws="none"))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        sys.stdout.write(json.dumps({"page": address, "environment": environment}) + "\n")
        sys.stdout.flush()
        await stopped.wait()
        server.should_exit = True
        await task


if __name__ == "__main__":
    asyncio.run(main())
