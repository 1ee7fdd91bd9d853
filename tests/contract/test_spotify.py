"""Everything that Spotify's nodes send, and all that their stand-in answers, is as the description of the API says."""

import json

import httpx
import pytest

from area.nodes import sdk, spotify
from area.nodes.spotify import listening, playlists, reactions
from area.nodes.spotify.playlists import fillable_choices, playlist_choices
from area.nodes.spotify.reactions import device_choices
from tests.contract.documents import SHARED, SPECS
from tests.contract.plugin import Contracts
from tests.nodes.spotify_wire import look, wired
from tests.providers.spotify import KITCHEN, PARTY, Spotify, track, uri

SAMPLES = pytest.mark.skipif(not SPECS.is_dir(), reason=f"the providers' samples are not there: {SHARED} is missing")


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("spotify"), Spotify()
    ctx = wired(there)
    ours = playlists.Which(playlist=PARTY)
    for node, where in (
        (listening.track_saved, listening.Everything()),
        (listening.track_played, listening.Everything()),
        (playlists.track_added, ours),
        (playlists.playlist_changed, ours),
    ):
        ctx.cursor = None
        await look(ctx, node, where)
        there.tick()
        for number in range(2):
            there.like(track(number))
            there.add(PARTY, track(number))
        there.play(track(1))
        assert await look(ctx, node, where)
    for one in range(2):
        await reactions.play.fn(ctx, reactions.Start(what=(uri(1), f"spotify:playlist:{PARTY}")[one], device=KITCHEN))
        assert reactions.play.reconciler
        assert await reactions.play.reconciler(ctx, reactions.Start())
    await reactions.play.fn(ctx, reactions.Start())
    await reactions.skip.fn(ctx, reactions.Skip(device=KITCHEN))
    await reactions.save.fn(ctx, reactions.Keeping(what=uri(3)))
    addition = reactions.Addition(playlist=PARTY, track=uri(900), position=0)
    assert reactions.add_to_playlist.reconciler
    assert await reactions.add_to_playlist.fn(ctx, addition) == await reactions.add_to_playlist.reconciler(
        ctx, addition
    )
    for choices in (playlist_choices, fillable_choices, device_choices):
        assert await choices(ctx, {})
    assert (await spotify.provider.identify(ctx)).external_id == "1001"
    described.audit(there)
    assert described.checked > 20


@SAMPLES
def test_samples_of_tokens_and_limits_are_read() -> None:
    assert spotify.service.auth
    tokens = json.loads((SPECS / "samples/oauth_token_responses.json").read_text())
    given = next(body for name, body in tokens.items() if name == "spotify")
    grant = spotify.service.auth.read_grant(given)
    assert (grant.refresh_token, grant.expires_in) == ("NgAagA", 3600)
    assert grant.scopes == {"user-read-private", "playlist-modify-private"}
    ended = next(body for name, body in tokens.items() if name.startswith("spotify_refresh_after_6_months"))
    with pytest.raises(sdk.GrantRefused, match="invalid_grant: Refresh token revoked"):
        spotify.service.auth.read_grant(ended)
    limit = json.loads((SPECS / "samples/rate_limit_responses.json").read_text())["spotify"]
    request = httpx.Request("GET", "https://api.spotify.com/v1/me")
    response = httpx.Response(limit["status"], headers=limit["headers"], request=request)
    assert spotify.service.judge
    spotify.service.judge(response)
    with pytest.raises(sdk.Throttled) as waits:
        sdk.map_response(response)
    assert waits.value.retry_after == 7
