"""How providers say no, each in its own shape, so that one suite can ask every node what it makes of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from area.nodes import sdk

WAIT = 7
"""Seconds that every shape of "too many requests" asks for."""
WORDS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    409: "conflict",
    422: "invalid",
    429: "slow down",
    500: "broken",
}

Refusal = Callable[[int], httpx.Response]


def _plain(status: int) -> httpx.Response:
    return httpx.Response(status, json={"error": WORDS[status], "message": WORDS[status]}, headers=_after(status))


def _after(status: int) -> dict[str, str]:
    return {"retry-after": str(WAIT)} if status == 429 else {}


def _google(status: int) -> httpx.Response:
    reason = {401: "authError", 403: "forbidden", 404: "notFound", 409: "duplicate", 429: "rateLimitExceeded"}
    error = {"code": status, "message": WORDS[status], "errors": [{"reason": reason.get(status, "invalid")}]}
    return httpx.Response(status, json={"error": error}, headers=_after(status))


def _slack(status: int) -> httpx.Response:
    if status in (429, 500):
        return httpx.Response(status, json={"ok": False, "error": "ratelimited"}, headers=_after(status))
    said = {
        401: "token_revoked",
        403: "missing_scope",
        404: "channel_not_found",
        409: "name_taken",
        422: "invalid_arguments",
    }
    return httpx.Response(200, json={"ok": False, "error": said[status]})


def _discord(status: int) -> httpx.Response:
    body: dict[str, Any] = {"code": 10003 if status == 404 else 0, "message": WORDS[status]}
    if status == 429:
        body |= {"retry_after": float(WAIT), "global": False}
    return httpx.Response(status, json=body, headers=_after(status))


def _twitch(status: int) -> httpx.Response:
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": str(int(time.time()) + WAIT)} if status == 429 else {}
    return httpx.Response(
        status, json={"error": WORDS[status], "status": status, "message": WORDS[status]}, headers=headers
    )


def _telegram(status: int) -> httpx.Response:
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": WORDS[status]}
    if status == 429:
        body["parameters"] = {"retry_after": WAIT}
    return httpx.Response(status, json=body)


def _spotify(status: int) -> httpx.Response:
    return httpx.Response(status, json={"error": {"status": status, "message": WORDS[status]}}, headers=_after(status))


def _notion(status: int) -> httpx.Response:
    code = {401: "unauthorized", 404: "object_not_found", 429: "rate_limited"}.get(status, "validation_error")
    body = {"object": "error", "status": status, "code": code, "message": WORDS[status]}
    return httpx.Response(status, json=body, headers=_after(status))


def _stripe(status: int) -> httpx.Response:
    error = {"type": "invalid_request_error", "message": WORDS[status]}
    return httpx.Response(status, json={"error": error}, headers=_after(status))


def _mastodon(status: int) -> httpx.Response:
    reset = (datetime.now(UTC) + timedelta(seconds=WAIT)).isoformat().replace("+00:00", "Z")
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset} if status == 429 else {}
    return httpx.Response(status, json={"error": WORDS[status]}, headers=headers)


def _bluesky(status: int) -> httpx.Response:
    if status == 401:
        return httpx.Response(400, json={"error": "ExpiredToken", "message": WORDS[status]})
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": str(int(time.time()) + WAIT)} if status == 429 else {}
    return httpx.Response(status, json={"error": "InvalidRequest", "message": WORDS[status]}, headers=headers)


BY_HOST: dict[str, Refusal] = {
    "googleapis.com": _google,
    "slack.com": _slack,
    "discord.com": _discord,
    "twitch.tv": _twitch,
    "telegram.org": _telegram,
    "spotify.com": _spotify,
    "notion.com": _notion,
    "stripe.com": _stripe,
    "mastodon.social": _mastodon,
    "bsky.social": _bluesky,
}


def refusal_of(service: sdk.Service) -> Refusal:
    """How this service's provider refuses: by the host of its base URL, else in the plainest way."""
    host = httpx.URL(service.base_url or "").host
    return next((shape for name, shape in BY_HOST.items() if host == name or host.endswith(f".{name}")), _plain)


def waits_of(service: sdk.Service) -> list[httpx.Response]:
    """Every way in which this service's provider asks to wait that the status does not say."""
    refuse = refusal_of(service)
    if refuse is _google:
        error = {"code": 403, "message": "User Rate Limit Exceeded", "errors": [{"reason": "userRateLimitExceeded"}]}
        return [httpx.Response(403, json={"error": error})]
    if httpx.URL(service.base_url or "").host == "api.github.com":
        reset = str(int(time.time()) + WAIT)
        body = {"message": "API rate limit exceeded for user ID 1."}
        again = {"message": "You have exceeded a secondary rate limit."}
        return [
            httpx.Response(403, json=body, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}),
            httpx.Response(403, json=again, headers={"retry-after": str(WAIT), "x-ratelimit-remaining": "4999"}),
        ]
    return []


def noes_in_200(service: sdk.Service) -> list[httpx.Response]:
    """Answers with status 200 by which this service's provider refuses."""
    refuse = refusal_of(service)
    if refuse is _slack:
        return [_slack(404), httpx.Response(200, json={"ok": False, "error": "an_error_of_next_year"})]
    if refuse is _telegram:
        return [
            httpx.Response(200, json={"ok": False, "error_code": 400, "description": "Bad Request: chat not found"})
        ]
    return []
