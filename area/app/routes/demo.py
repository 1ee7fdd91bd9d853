"""What `area dev` offers to play with: an echo, a feed that grows by itself, and a session of the demo user."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from area.app import bodies
from area.app.demo import DEMO_EMAIL, DEMO_PASSWORD
from area.app.problems import Problem
from area.app.responses import JSON
from area.auth.service import AuthService
from area.core.clock import now
from area.core.settings import Settings

FEED_EVERY = timedelta(minutes=2)
FEED_ITEMS = 10
HEADLINES = (
    "A kettle learns to whistle in tune",
    "Local robot waters the office fern",
    "Tide table agrees with the moon again",
    "Lighthouse gets a second opinion",
    "Night train arrives a minute early",
    "Beekeeper publishes her first changelog",
    "Weather station reports a quiet day",
)


def feed(moment: datetime, public_url: str) -> str:
    """An RSS feed whose newest item is at most two minutes old; the same for everybody at one moment."""
    newest = int(moment.timestamp() // FEED_EVERY.total_seconds())
    items = []
    for number in range(newest, newest - FEED_ITEMS, -1):
        at = datetime.fromtimestamp(number * FEED_EVERY.total_seconds(), UTC)
        items.append(
            f"<item><title>{escape(HEADLINES[number % len(HEADLINES)])} (no. {number})</title>"
            f"<link>{escape(public_url)}/demo/feed.xml#{number}</link>"
            f'<guid isPermaLink="false">area-demo-{number}</guid><pubDate>{format_datetime(at)}</pubDate></item>'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>AREA demo news</title>'
        f"<link>{escape(public_url)}</link><description>One item every two minutes.</description>"
        f"{''.join(items)}</channel></rss>"
    )


def routes(settings: Settings, auth: AuthService) -> list[Route]:
    """The routes of this module."""

    async def echo(request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = await bodies.read(request.receive, headers, settings.body_limit)
        body = await bodies.parse(request.scope, raw, headers.get("content-type", ""))
        return JSON({"method": request.method, "query": dict(request.query_params), "body": body})

    async def news(_request: Request) -> Response:
        return Response(feed(now(), settings.public_url), media_type="application/rss+xml")

    async def session(request: Request) -> Response:
        # A page elsewhere must not sign in here by a simple form: ours sends a header that forms cannot.
        if request.headers.get("x-area-demo") != "1":
            raise Problem(403, "Send the header X-Area-Demo: 1.")
        tokens = await auth.sign_in(DEMO_EMAIL, DEMO_PASSWORD)
        return JSON({"accessToken": tokens.access_token, "email": DEMO_EMAIL})

    return [
        Route("/demo/echo", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Route("/demo/feed.xml", news),
        Route("/demo/session", session, methods=["POST"]),
    ]
