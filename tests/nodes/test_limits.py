"""What answers say of rate limits: every provider's form is read by the one reader."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from area.engine.connections.governor import lesson_of
from area.nodes import sdk

NOON = datetime(2025, 11, 23, 10, 0, tzinfo=UTC)
EPOCH = int(NOON.timestamp())


def answer(status: int, headers: dict[str, str] | None = None, body: Any = None) -> httpx.Response:
    request = httpx.Request("POST", "https://api.test/x")
    return httpx.Response(status, headers=headers, json=body, request=request)


DISCORD = {
    "Retry-After": "65",
    "X-RateLimit-Limit": "10",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Reset": f"{EPOCH + 64}.57",
    "X-RateLimit-Reset-After": "64.57",
    "X-RateLimit-Bucket": "abcd1234",
}
YOUTUBE = {"error": {"code": 403, "errors": [{"domain": "youtube.quota", "reason": "quotaExceeded"}]}}
GOOGLE = {"error": {"code": 403, "errors": [{"domain": "usageLimits", "reason": "userRateLimitExceeded"}]}}
LINEAR = {"errors": [{"message": "Rate limit exceeded", "extensions": {"code": "RATELIMITED"}}]}

FORMS: dict[str, tuple[int, dict[str, str], Any, float | None]] = {
    "discord: the body is exact": (429, DISCORD, {"retry_after": 64.57, "global": False}, 64.57),
    "discord: the header alone": (429, DISCORD, {}, 65),
    "github, primary: 403, epoch seconds": (
        403,
        {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 600)},
        {"message": "API rate limit exceeded for user ID 1."},
        600,
    ),
    "github, secondary: 403, retry-after": (
        403,
        {"retry-after": "60", "x-ratelimit-remaining": "4999"},
        {"message": "You have exceeded a secondary rate limit."},
        60,
    ),
    "github, secondary, without a word how long": (
        403,
        {"x-ratelimit-remaining": "4999", "x-ratelimit-reset": str(EPOCH + 3000)},
        {"message": "You have exceeded a secondary rate limit. Please wait."},
        60,
    ),
    "twitch: no retry-after": (429, {"Ratelimit-Remaining": "0", "Ratelimit-Reset": str(EPOCH + 41)}, None, 41),
    "slack": (429, {"Retry-After": "30"}, {"ok": False, "error": "ratelimited"}, 30),
    "google: 403 with a reason": (403, {}, GOOGLE, 30),
    "youtube: until midnight on the West Coast": (403, {}, YOUTUBE, 22 * 3600),
    "mastodon: ISO 8601": (
        429,
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2025-11-23T10:20:00.000000Z"},
        None,
        1200,
    ),
    "linear: 400 and epoch milliseconds": (
        400,
        {"X-RateLimit-Requests-Remaining": "0", "X-RateLimit-Requests-Reset": str((EPOCH + 90) * 1000)},
        LINEAR,
        90,
    ),
    "notion, overloaded: 529": (529, {"Retry-After": "5"}, {"code": "service_overload"}, 5),
    "reddit: seconds left": (429, {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "103"}, None, 103),
    "telegram: in the body's parameters": (429, {}, {"ok": False, "parameters": {"retry_after": 17}}, 17),
    "a date": (503, {"Retry-After": "Sun, 23 Nov 2025 10:20:00 GMT"}, None, 1200),
    "nothing said": (429, {}, None, 30),
    "nonsense": (429, {"Retry-After": "soon", "X-RateLimit-Reset": "later"}, {"retry_after": "x"}, 30),
    "an age that nobody means": (429, {"Retry-After": "999999999"}, None, 86_400),
    "a reset that has passed": (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH - 5)}, None, 0),
    "503 without a word": (503, {}, None, None),
    "403 for want of a right": (403, {"x-ratelimit-remaining": "4999"}, {"message": "Forbidden"}, None),
    "400 for a mistake": (400, {}, {"errors": [{"message": "Unknown field"}]}, None),
    "200": (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 5)}, None, None),
}


@pytest.mark.parametrize("name", FORMS)
def test_how_long_to_wait(name: str) -> None:
    status, headers, body, wait = FORMS[name]
    assert sdk.throttled(answer(status, headers, body), NOON) == (
        None if wait is None else pytest.approx(wait, abs=0.01)
    )


@pytest.mark.parametrize(("status", "headers", "body"), [FORMS[name][:3] for name in FORMS if FORMS[name][3]])
def test_it_is_a_snooze_for_the_engine(status: int, headers: dict[str, str], body: Any) -> None:
    with pytest.raises(sdk.Throttled):
        sdk.map_response(answer(status, headers, body))


def test_midnight_on_the_west_coast_on_the_days_that_are_not_24_hours_long() -> None:
    def wait(*moment: int) -> float | None:
        return sdk.throttled(answer(403, {}, YOUTUBE), datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type,misc]

    # At 08:00 UTC it is midnight in winter: a whole day is left, and no more is believed.
    assert wait(2025, 12, 1, 8, 0) == 86_400
    assert wait(2026, 3, 8, 8, 0) == 23 * 3600  # the clock goes forward
    assert wait(2025, 11, 2, 8, 0) == 24 * 3600  # 01:00 there: it goes back an hour later


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({}, None),
        (
            {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4998", "X-RateLimit-Reset": str(EPOCH + 60)},
            sdk.Limits(5000, 4998, 60, None),
        ),
        (
            {"x-ratelimit-resource": "core", "x-ratelimit-limit": "5000", "x-ratelimit-remaining": "1"},
            sdk.Limits(5000, 1, None, None),
        ),
        (
            {"x-ratelimit-resource": "search", "x-ratelimit-limit": "30", "x-ratelimit-remaining": "9"},
            sdk.Limits(30, 9, None, "search"),
        ),
        ({"Ratelimit-Limit": "800", "Ratelimit-Remaining": "799"}, sdk.Limits(800, 799, None, None)),
        ({"x-rate-limit-remaining": "14", "x-rate-limit-reset": "9"}, sdk.Limits(None, 14, 9, None)),
        ({"X-RateLimit-Remaining": "many"}, None),
    ],
)
def test_what_is_left(headers: dict[str, str], limits: sdk.Limits | None) -> None:
    assert sdk.read_limits(answer(200, headers), NOON) == limits


def test_a_bucket_stops_its_route_and_a_global_limit_all() -> None:
    used_up = lesson_of(answer(200, {**DISCORD, "Retry-After": ""}), NOON)
    assert used_up is not None
    assert (used_up.is_route, used_up.wait) == (True, 64_570)
    everything = lesson_of(
        answer(429, {**DISCORD, "X-RateLimit-Global": "true"}, {"retry_after": 2.5, "global": True}), NOON
    )
    assert everything is not None
    assert (everything.is_route, everything.wait) == (False, 2500)
    assert lesson_of(answer(200), NOON) is None
