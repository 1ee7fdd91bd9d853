"""A picture for each service of the catalogue, drawn here: nothing is loaded from elsewhere, and no trade mark is used."""

import hashlib
from functools import cache
from html import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from area.app.problems import Problem
from area.engine.platform import Platform

DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" aria-label="{name}">'
    '<rect width="64" height="64" rx="14" fill="hsl({hue} 58% 40%)"/>'
    '<text x="32" y="33" fill="#fff" font-family="system-ui, sans-serif" font-size="{size}" font-weight="700" '
    'text-anchor="middle" dominant-baseline="central">{letters}</text></svg>'
)


@cache
def draw(key: str, name: str) -> str:
    """A service's picture as SVG: its initials on a colour of its own."""
    words = name.split() or [key]
    letters = words[0][:2] if len(words) == 1 else words[0][0] + words[1][0]
    hue = int.from_bytes(hashlib.sha256(key.encode()).digest()[:2]) % 360
    return DRAWING.format(name=escape(name), hue=hue, size=28, letters=escape(letters.title()))


def routes(platform: Platform) -> list[Route]:
    """The routes of this module."""

    async def logo(request: Request) -> Response:
        key = request.path_params["key"]
        service = platform.registry.services.get(key)
        if service is None:
            raise Problem(404, f"No service of the catalogue is called {key[:60]!r}.")
        headers = {"Cache-Control": "public, max-age=86400", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(draw(service.key, service.name), headers=headers, media_type="image/svg+xml")

    return [Route("/services/{key}/logo.svg", logo)]
