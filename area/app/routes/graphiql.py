"""The GraphiQL page and its files, all served by us: it opens without internet."""

import importlib.util
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from area.app.problems import Problem

PACKAGE = "graphene_django_graphiql_static"
OURS = Path(__file__).parent.parent / "static"

FILES = {
    "graphiql.min.js": "text/javascript",
    "graphiql.min.css": "text/css",
    "graphql-ws.min.js": "text/javascript",
    "react.production.min.js": "text/javascript",
    "react-dom.production.min.js": "text/javascript",
    "page.js": "text/javascript",
    "operations.js": "text/javascript",
    "page.css": "text/css",
}
"""What may be fetched, by name: nothing else in those folders can be."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # CodeMirror sizes its lines by style attributes
        "font-src 'self' data:",
        "img-src 'self' data:",
        "connect-src 'self' ws: wss:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@cache
def _folder(name: str) -> Path:
    if (OURS / name).is_file():
        return OURS
    # The package's code is for Django; only its files are wanted, so it is found and not imported.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Problem(404, f"The package {PACKAGE} is not installed, so the GraphiQL page cannot be shown.")
    return Path(spec.origin).parent / "static" / PACKAGE


async def asset(request: Request) -> Response:
    """One file of the page."""
    name = request.path_params["file"]
    if name not in FILES:
        raise Problem(404, f"No asset is called {name[:80]!r}.")
    age = "no-cache" if (OURS / name).is_file() else "public, max-age=86400"
    return FileResponse(_folder(name) / name, media_type=FILES[name], headers={"Cache-Control": age})


@cache
def _html(dev: bool) -> str:
    page = (OURS / "graphiql.html").read_text()
    return page.replace("{{dev}}", "true" if dev else "false")


def page(*, dev: bool) -> Response:
    """The page; with ``dev`` it offers to sign in as the demo user."""
    headers = {"Content-Security-Policy": POLICY, "Vary": "Accept", "Cache-Control": "no-cache"}
    return HTMLResponse(_html(dev), headers=headers)


def routes() -> list[Route]:
    """The routes of this module."""
    return [Route("/assets/graphiql/{file}", asset)]
