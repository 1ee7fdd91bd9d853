"""Every token answer and every rate-limit answer that was collected from providers is read as what it is."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from area.nodes import sdk
from tests.contract.documents import SHARED, SPECS


def _samples(name: str) -> dict[str, Any]:
    path = SPECS / "samples" / name
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {key: value for key, value in found.items() if key != "note"}


LIMITS = _samples("rate_limit_responses.json")
TOKENS = _samples("oauth_token_responses.json")
pytestmark = pytest.mark.skipif(not LIMITS, reason=f"the samples are not there: {SHARED} is missing")

RESETS = datetime.fromtimestamp(1763892737, UTC)
"""The moment that the epochs among the samples name."""
DATES = datetime(2026, 11, 23, 10, 20, tzinfo=UTC)
"""The moment that the dates among the samples name."""
LONG = timedelta(seconds=100)

WAITS = {
    "discord": 64.57,
    "discord_global": 64.57,
    "github_primary": 100,
    "github_secondary": 60,
    "twitch": 100,
    "slack": 30,
    "google_403_form": 30,
    "youtube_quota (do not retry before midnight Pacific)": 21 * 3600 + 49 * 60 + 23,
    "spotify": 7,
    "mastodon (reset is ISO 8601, microseconds)": 100,
    "linear (HTTP 400, GraphQL error)": 100,
    "notion": 12,
    "notion_overload": 5,
    "reddit (seconds left, decimals)": 103,
    "retry_after_http_date": 100,
}


def test_every_sample_is_expected() -> None:
    assert set(LIMITS) == set(WAITS)


@pytest.mark.parametrize("name", LIMITS)
def test_a_rate_limit_is_waited_for(name: str) -> None:
    sample = LIMITS[name]
    moment = (DATES if "2026" in json.dumps(sample) else RESETS) - LONG
    response = httpx.Response(
        sample["status"],
        headers=sample.get("headers"),
        json=sample.get("body"),
        request=httpx.Request("GET", "https://api.test/"),
    )
    assert sdk.throttled(response, moment) == pytest.approx(WAITS[name], abs=0.01)
    with pytest.raises(sdk.Throttled):
        sdk.map_response(response)


SCOPES = {
    "twitch": {"channel:moderate", "chat:edit"},
    "discord": {"identify", "guilds"},
    "github_json (Accept: application/json)": {"repo", "gist"},
    "slack_v2": {"chat:write", "channels:read"},
    "mastodon (no expiry, created_at instead)": {"read", "write"},
    "notion": None,
}


@pytest.mark.parametrize("name", [name for name in TOKENS if "error" not in name and name != "twitch_validate"])
def test_a_token_answer_is_read(name: str) -> None:
    sample = TOKENS[name]
    if name.startswith("spotify_refresh_after"):
        with pytest.raises(sdk.GrantRefused) as caught:
            sdk.read_grant(sample)
        assert caught.value.error == "invalid_grant"
        return
    body = dict(parse_qsl(sample)) if isinstance(sample, str) else sample
    grant = sdk.read_grant(body)
    assert grant.access_token == body["access_token"]
    assert grant.refresh_token == body.get("refresh_token")
    assert grant.expires_in == body.get("expires_in")
    if name in SCOPES:
        assert grant.scopes == SCOPES[name]


@pytest.mark.parametrize("name", [name for name in TOKENS if "error" in name])
def test_an_error_in_a_200_is_an_error(name: str) -> None:
    with pytest.raises(sdk.GrantRefused) as caught:
        sdk.read_grant(TOKENS[name])
    assert caught.value.error == TOKENS[name]["error"]
