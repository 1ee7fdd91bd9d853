"""Is the process alive, is it ready, and its figures."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from area.app.responses import JSON
from area.db import version
from area.engine.figures import Figures
from area.engine.platform import Platform

CHECK_SECONDS = 3.0


async def healthz(_request: Request) -> Response:
    """200 while the process serves, whatever its neighbours do: a restart would not mend those."""
    return JSON({"status": "ok"})


async def checks(platform: Platform) -> dict[str, str]:
    """``ok``, or what is wrong, for Postgres, its migrations, and Redis."""
    postgres, redis = await asyncio.gather(
        _verdict(platform.db.pool.fetchval("SELECT 1")), _verdict(platform.redis.ping())
    )
    migrations = "not checked"
    if postgres == "ok":
        try:
            current = await asyncio.wait_for(version.is_current(platform.db.pool), CHECK_SECONDS)
            migrations = "ok" if current else "not all applied; run `area migrate`"
        except Exception as error:  # any failure is the answer
            migrations = _named(error)
    return {"postgres": postgres, "migrations": migrations, "redis": redis}


async def _verdict(check: Awaitable[object]) -> str:
    try:
        await asyncio.wait_for(check, CHECK_SECONDS)
    except Exception as error:  # any failure is the answer
        return _named(error)
    return "ok"


def _named(error: Exception) -> str:
    # The class only: a driver's text may hold an address or a password.
    return f"out of reach ({type(error).__name__})"


def routes(platform: Platform) -> list[Route]:
    """The routes of this module."""

    figures = Figures(platform.db.pool)

    async def metrics(_request: Request) -> Response:
        # A Postgres that is away is told by /readyz; the process's own figures are given all the same.
        with suppress(Exception):
            await asyncio.wait_for(figures.refresh(), CHECK_SECONDS)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def readyz(request: Request) -> Response:
        # Deliveries are accepted without Redis: a load balancer asks without it, lest its loss stop acceptance too.
        ignored = request.query_params.get("without")
        found = {name: verdict for name, verdict in (await checks(platform)).items() if name != ignored}
        ready = all(verdict == "ok" for verdict in found.values())
        if ready:
            return JSON({"status": "ok", "checks": found})
        body = {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "Not ready: " + "; ".join(f"{name} {text}" for name, text in found.items() if text != "ok"),
            "checks": found,
        }
        return JSON(body, 503, {"Retry-After": "5"}, media_type="application/problem+json")

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
