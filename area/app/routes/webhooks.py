"""``/webhooks/{service}``: where a provider with one address for all its users delivers."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from area.app import bodies
from area.app.problems import RETRY_AFTER, Problem
from area.app.routes.hooks import answered, explain, parsed
from area.engine.endpoints import Endpoints, NotYet
from area.engine.intake import ANSWER_SECONDS, UnknownHook
from area.engine.platform import Platform
from area.nodes import sdk


def routes(platform: Platform) -> list[Route]:
    """The routes of this module."""
    endpoints = Endpoints(platform)

    async def take(request: Request) -> Response:
        service = request.path_params["service"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = await bodies.read(request.receive, headers, platform.settings.body_limit)
        content_type = headers.get("content-type", "")
        method = "GET" if request.method == "HEAD" else request.method
        delivery = sdk.WebhookDelivery(method, headers, dict(request.query_params), raw, None, content_type)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                taken = await endpoints.deliver(service, delivery, lambda: parsed(request.scope, raw, content_type))
        except (Problem, ClientDisconnect):
            raise
        except UnknownHook:
            detail = f"The service {service[:60]!r} takes no deliveries at one address for all; use the webhookUrl of an AREA."
            raise Problem(404, detail) from None
        except NotYet:
            again = {"Retry-After": str(RETRY_AFTER)}
            raise Problem(503, "The subscription that this belongs to is being made; send this again.", again) from None
        except Exception as error:
            raise explain(error) from error
        return answered(taken.answer)

    return [Route("/webhooks/{service}", take, methods=["GET", "POST"])]
