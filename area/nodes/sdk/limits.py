"""What an answer says about a provider's rate limits. One reader for every provider's headers and bodies.

The forms, and who uses them: ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3), ``X-RateLimit-*`` and ``RateLimit-*``
whose reset is in epoch seconds (GitHub, Twitch, Discord), epoch milliseconds (Linear), ISO 8601 (Mastodon) or seconds left
(Reddit); waits in the body (Discord, Telegram); and refusals with another status than 429 (GitHub and Google 403, Linear 400,
Notion 529).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

MAX_WAIT = 86_400.0
"""Longest wait, in seconds, that a provider is believed: a wrong header must not stop anything for years."""
DEFAULT_WAIT = 30.0
SECONDARY_WAIT = 60.0
"""GitHub's secondary limits ask for a minute at least where they say nothing."""

_PREFIXES = ("x-ratelimit-", "ratelimit-", "x-rate-limit-", "x-ratelimit-requests-")
_BUCKETS = ("x-ratelimit-bucket", "x-ratelimit-resource")
_WHOLE = frozenset({"", "core"})
"""Buckets that stand for all of an account's calls."""
_DAILY = frozenset({"quotaExceeded", "dailyLimitExceeded"})
_BRIEF = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
_PACIFIC = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls are left, as an answer's headers say."""

    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None
    """Seconds until ``remaining`` starts over."""
    bucket: str | None = None
    """What the figures count, where that is less than all of the account's calls."""


def read_limits(response: httpx.Response, moment: datetime | None = None) -> Limits | None:
    """The figures in an answer's headers; None when it has none. ``moment`` is the present, in UTC."""
    remaining = _number(_header(response, "remaining"))
    limit = _number(_header(response, "limit"))
    if remaining is None and limit is None:
        return None
    named = next((response.headers[name] for name in _BUCKETS if name in response.headers), "")
    return Limits(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else max(0, int(remaining)),
        resets_in=_reset(response, moment),
        bucket=None if named in _WHOLE else named,
    )


def throttled(response: httpx.Response, moment: datetime | None = None) -> float | None:
    """Seconds to wait when the answer says "too many" or "not now", else None. The body of a failing answer is read by now."""
    if response.status_code < 400:
        return None
    body = _body(response)
    return retry_after(response, moment=moment) if _is_throttled(response, body) else None


def retry_after(response: httpx.Response, default: float = DEFAULT_WAIT, *, moment: datetime | None = None) -> float:
    """Seconds to wait before the next call, at most a day; ``default`` when the answer does not say."""
    body = _body(response) if response.status_code >= 400 else {}
    wait = _said(response, body, moment)
    if wait is None and _reasons(body) & _DAILY:
        wait = _until_midnight(moment)
    if wait is None and "secondary rate limit" in _message(body).lower():
        wait = SECONDARY_WAIT
    return default if wait is None else min(max(wait, 0.0), MAX_WAIT)


def _is_throttled(response: httpx.Response, body: Mapping[str, Any]) -> bool:
    status, asks = response.status_code, "retry-after" in response.headers
    if status in (503, 529):
        return asks
    if status == 403:
        told = asks or _number(_header(response, "remaining")) == 0 or bool(_reasons(body) & (_DAILY | _BRIEF))
        return told or "rate limit" in _message(body).lower()
    return status == 429 or (status == 400 and "RATELIMITED" in _codes(body))


def _said(response: httpx.Response, body: Mapping[str, Any], moment: datetime | None) -> float | None:
    """The wait that the answer names, the most exact form first."""
    parameters = body.get("parameters")
    nested = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
    for given in (body.get("retry_after"), nested):
        if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
            return float(given)
    asked = response.headers.get("retry-after")
    if asked is not None:
        return _in_seconds(asked, moment)
    left = _number(_header(response, "remaining"))
    return _reset(response, moment) if left is None or left < 1 else None


def _reset(response: httpx.Response, moment: datetime | None) -> float | None:
    after = _number(_header(response, "reset-after"))
    if after is not None:
        return after
    given = _header(response, "reset")
    return None if given is None else _until(given, moment)


def _until(given: str, moment: datetime | None) -> float | None:
    """Seconds until a reset, given as seconds left, epoch seconds, epoch milliseconds or ISO 8601."""
    present = moment or datetime.now(UTC)
    number = _number(given)
    if number is None:
        try:
            at = datetime.fromisoformat(given)
        except ValueError:
            return None
        return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - present).total_seconds())
    if number < 1e8:
        return number
    return max(0.0, (number if number < 1e11 else number / 1000) - present.timestamp())


def _in_seconds(given: str, moment: datetime | None) -> float | None:
    number = _number(given)
    if number is not None:
        return number
    try:
        return max(0.0, (parsedate_to_datetime(given) - (moment or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError):
        return None


def _until_midnight(moment: datetime | None) -> float:
    """Seconds until the day ends on the US West Coast, when Google's daily quotas start over."""
    here = (moment or datetime.now(UTC)).astimezone(_PACIFIC)
    midnight = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), _PACIFIC)
    return midnight.timestamp() - here.timestamp()


def _header(response: httpx.Response, name: str) -> str | None:
    return next((response.headers[prefix + name] for prefix in _PREFIXES if prefix + name in response.headers), None)


def _number(given: str | None) -> float | None:
    try:
        number = float(given.strip()[:32]) if given else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _body(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except (ValueError, httpx.ResponseNotRead, RecursionError):
        return {}
    return body if isinstance(body, Mapping) else {}


def _errors(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The listed errors: Google's under ``error.errors``, GraphQL's under ``errors``."""
    error = body.get("error")
    listed = error.get("errors") if isinstance(error, Mapping) else body.get("errors")
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _reasons(body: Mapping[str, Any]) -> set[str]:
    return {str(one.get("reason")) for one in _errors(body)}


def _codes(body: Mapping[str, Any]) -> set[str]:
    extensions = (one.get("extensions") for one in _errors(body))
    return {str(one.get("code")) for one in extensions if isinstance(one, Mapping)}


def _message(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    return str(body.get("message") or (error.get("message") if isinstance(error, Mapping) else "") or "")
