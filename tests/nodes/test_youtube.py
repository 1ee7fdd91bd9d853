"""YouTube: what the hub may be told, which videos are new, and that nothing is added or written twice."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk, youtube
from area.nodes._google import Gone
from area.nodes.youtube import reactions, watching, websub
from area.nodes.youtube.provider import COMMENT, READ, WRITE, channel_choices, playlist_choices, whose
from tests.nodes.conftest import NOON, FakeContext, MakeContext
from tests.nodes.google_wire import look, refusal, wired
from tests.nodes.rig import HOOK
from tests.providers.signing import hmac_body
from tests.providers.youtube import CHANNEL, FEED, MIX, OWN, PLACE, YouTube, ago

WHERE = watching.Where(channel=CHANNEL)
TOPIC = FEED + CHANNEL
ACTION = watching.new_video
SECRET = "ab" * 32


@pytest.fixture
def there() -> YouTube:
    return YouTube()


@pytest.fixture
def ctx(there: YouTube) -> FakeContext:
    return wired(youtube.service, there)


def delivered(raw: str | bytes, since: str = "") -> list[watching.Published]:
    """What the action makes of a delivery."""
    query = {"since": since} if since else {}
    raw = raw.encode() if isinstance(raw, str) else raw
    found: list[watching.Published] = ACTION.fn(WHERE, sdk.WebhookDelivery("POST", {}, query, raw))
    return found


def asked(mode: str, topic: str = TOPIC, **more: str) -> sdk.WebhookDelivery:
    """The hub asks our address."""
    query = {"hub.mode": mode, "hub.topic": topic, "hub.challenge": "14325", **more}
    return sdk.WebhookDelivery("GET", {}, {"since": "1", **query})


def shown(answer: sdk.Answer) -> tuple[Any, int, float | None]:
    return answer.body, answer.status, answer.lease


# Subscriptions


async def test_a_subscription_is_asked_for_with_all_that_the_hub_needs(context: MakeContext) -> None:
    sent: list[httpx.Request] = []

    def hub(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(202)

    ctx = context(hub, service=youtube.service)
    assert ACTION.subscriber
    assert ACTION.unsubscriber
    made = await ACTION.subscriber(ctx, WHERE, HOOK)
    again = sdk.Hook(HOOK.id, HOOK.url, HOOK.secret, remote_id=made.remote_id)
    ctx.moment = NOON + timedelta(days=4)
    renewed = await ACTION.subscriber(ctx, WHERE, again)
    await ACTION.unsubscriber(ctx, WHERE, made.remote_id)
    callback = f"{HOOK.url}?since={int(NOON.timestamp())}"
    assert made == sdk.Subscription(callback, NOON + timedelta(minutes=15), unconfirmed=True)
    assert renewed.remote_id == callback, "the hub knows a subscription by its callback"
    common = {"hub.topic": [TOPIC], "hub.callback": [callback], "hub.verify": ["async"]}
    wanted = {"hub.mode": ["subscribe"], **common, "hub.secret": [HOOK.secret], "hub.lease_seconds": ["432000"]}
    assert [parse_qs(one.content.decode()) for one in sent] == [
        wanted,
        wanted,
        {"hub.mode": ["unsubscribe"], **common},
    ]
    assert {str(one.url) for one in sent} == {"https://pubsubhubbub.appspot.com/subscribe"}
    assert all("authorization" not in one.headers for one in sent)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (httpx.Response(400, text="Invalid value\nfor hub.topic"), sdk.Rejected, "Invalid value for hub.topic"),
        (httpx.Response(503), sdk.Unavailable, "503"),
        (httpx.Response(429, headers={"retry-after": "9"}), sdk.Throttled, "429"),
        (httpx.Response(200, text="<html>"), sdk.Unavailable, "answered 200"),
    ],
    ids=["refused", "down", "too many", "a page"],
)
async def test_a_hub_that_does_not_accept_is_told(
    context: MakeContext, answer: httpx.Response, error: type[sdk.NodeError], words: str
) -> None:
    ctx = context(lambda _: answer, service=youtube.service)
    assert ACTION.subscriber
    with pytest.raises(error, match=words):
        await ACTION.subscriber(ctx, WHERE, HOOK)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "10.0.0.7", "[::1]:8000", "area.local", "area"])
async def test_an_address_that_the_hub_cannot_reach_is_not_given_to_it(context: MakeContext, host: str) -> None:
    hook = sdk.Hook("h", f"http://{host}/hooks/t", SECRET)
    assert ACTION.subscriber
    with pytest.raises(sdk.Rejected, match="AREA_PUBLIC_URL") as caught:
        await ACTION.subscriber(context(service=youtube.service), WHERE, hook)
    assert caught.value.code == "NOT_PUBLIC"


def test_the_hub_is_confirmed_what_was_asked_for_and_nothing_else() -> None:
    assert ACTION.handshake
    assert ACTION.farewell
    ask, bye = ACTION.handshake, ACTION.farewell
    granted = ask(WHERE, asked("subscribe", **{"hub.lease_seconds": "86400"}))
    assert granted
    assert (shown(granted), granted.content_type) == (("14325", 200, 86_400.0), "text/plain; charset=utf-8")
    for lease in ("", "soon", "0", "-1", "٣", "9" * 40):
        assert shown(ask(WHERE, asked("subscribe", **{"hub.lease_seconds": lease})) or sdk.Answer())[2] == 432_000.0
    refused = ("This is not wanted.", 404, None)
    for one in (
        asked("subscribe", f"{FEED}UCother"),
        asked("unsubscribe"),
        asked("publish"),
        asked("subscribe", **{"hub.challenge": ""}),
        sdk.WebhookDelivery("GET"),
    ):
        assert shown(ask(WHERE, one) or sdk.Answer()) == refused
    assert shown(bye(WHERE, asked("unsubscribe")) or sdk.Answer()) == ("14325", 200, None)
    for one in (asked("unsubscribe", f"{FEED}UCother"), asked("subscribe"), sdk.WebhookDelivery("GET")):
        assert shown(bye(WHERE, one) or sdk.Answer()) == refused
    with pytest.raises(sdk.SubscriptionEnded, match="no such feed") as caught:
        ask(WHERE, asked("denied", **{"hub.reason": "no such\nfeed"}))
    assert caught.value.again_after == 3600
    assert shown(ask(WHERE, asked("denied", f"{FEED}UCother")) or sdk.Answer()) == refused


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_forged_delivery_is_accepted_as_websub_wants_and_dropped(algorithm: str) -> None:
    raw = b"<feed/>"
    headers = hmac_body(SECRET, "x-hub-signature", f"{algorithm}=", algorithm)(raw, {})
    websub.SIGNED.check(SECRET, sdk.WebhookDelivery("POST", dict(headers), raw=raw))
    for given, body in ((headers, b"<feed />"), ({"x-hub-signature": "sha1=é"}, raw), ({}, raw)):
        with pytest.raises(sdk.BadSignature) as caught:
            websub.SIGNED.check(SECRET, sdk.WebhookDelivery("POST", dict(given), raw=body))
        assert caught.value.status == 202


# New videos


def test_a_new_video_is_told_with_all_the_feed_says(there: YouTube) -> None:
    at = datetime(2026, 3, 1, 8, 0, 57, tzinfo=UTC)
    there.put("Über <alles> & mehr 🎬", "VIDEO_ID", at=at)
    (video,) = delivered(there.feed("VIDEO_ID"), since=str(int(at.timestamp())))
    assert video.model_dump() == {
        "id": "VIDEO_ID",
        "title": "Über <alles> & mehr 🎬",
        "url": "https://www.youtube.com/watch?v=VIDEO_ID",
        "channel_id": CHANNEL,
        "channel": "Grace & Co",
        "published_at": at,
        "description": "",
        "thumbnail_url": "",
        "duration": None,
        "live": "",
    }


def test_old_videos_tombstones_and_other_channels_are_not_new(there: YouTube) -> None:
    old, first, second = there.put("Old", at=NOON - timedelta(days=9)), there.put("1", at=NOON), there.put("2", at=NOON)
    there.put("Elsewhere", "elsewhere", at=NOON, channel=OWN)
    since = str(int(NOON.timestamp()))
    assert delivered(there.feed(old), since) == [], "its title was changed"
    many = there.feed(second, first, old, "elsewhere").replace("<published>", "<published>", 1)
    assert [video.id for video in delivered(many, since)] == [first, second], "in the order in which they came"
    tombstone = '<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="yt:video:x" when="2026"/>'
    assert delivered(there.feed(first).replace("<entry>", f"{tombstone}<!-- ", 1).replace("</entry>", " -->", 1)) == []
    assert delivered(there.feed(first).replace("yt:videoId", "yt:other")) == []
    assert delivered(there.feed(first).replace("<published>2026", "<published>soon"), since) == []
    assert [video.id for video in delivered(there.feed(old))] == [old], "a callback that does not say since when"
    there.videos[first]["changed"] = NOON + timedelta(hours=17)
    assert [video.id for video in delivered(there.feed(first), since)] == [first], "its first delivery was lost"
    there.videos[first]["changed"] = NOON + timedelta(hours=19)
    assert delivered(there.feed(first), since) == [], "that it has fired may be forgotten by now"


BOMB = '<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><feed>&b;</feed>'
UNKNOWN = '<?xml version="1.0" encoding="x-nobody"?><feed xmlns="http://www.w3.org/2005/Atom"/>'
OUTSIDE = (
    '<!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/passwd">]><feed xmlns="http://www.w3.org/2005/Atom">&x;</feed>'
)


@pytest.mark.parametrize(
    "raw",
    [
        BOMB,
        OUTSIDE,
        "<html><body>",
        "<html/>",
        "",
        "{}",
        b"\xff\xfe\x00",
        "<feed/>",
        "<feed xmlns='x'/>",
        "\0",
        UNKNOWN,
    ],
    ids=["bomb", "outside", "cut", "html", "empty", "json", "bytes", "no atom", "another", "nul", "encoding"],
)
def test_what_is_no_feed_is_refused_unread(raw: str | bytes) -> None:
    with pytest.raises(sdk.Rejected, match="no Atom feed"):
        delivered(raw)


def test_a_feed_of_great_depth_is_read() -> None:
    deep = "<a>" * 50_000 + "</a>" * 50_000
    assert delivered(f'<feed xmlns="http://www.w3.org/2005/Atom">{deep}</feed>') == []


async def test_details_are_added_where_an_account_may_ask(there: YouTube, ctx: FakeContext) -> None:
    key = there.put("x", at=NOON)
    (video,) = delivered(there.feed(key))
    assert ACTION.enricher
    fuller = await ACTION.enricher(ctx, video)
    assert (fuller.description, fuller.duration, fuller.live) == ("Alle Pläne ✨", 3812, "none")
    assert fuller.thumbnail_url == f"https://i.ytimg.com/vi/{key}/hq.jpg"
    assert fuller.id == key
    ctx.connected = None
    assert await ACTION.enricher(ctx, video) is video
    assert len(there.asked("GET", f"{PLACE}/videos")) == 1


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("PT15S", 15), ("PT1H", 3600), ("P1DT2M", 86_520), ("P0D", None), ("P1W", None), (None, None), ("PT", None)],
)
def test_durations(given: Any, seconds: int | None) -> None:
    assert watching.seconds_of(given) == seconds


# Likes


async def test_a_like_fires_once_and_old_ones_never(there: YouTube, ctx: FakeContext) -> None:
    there.like(there.put("Long ago"), at=ago(days=400))
    old = await look(ctx, watching.liked_video, watching.Likes())
    assert [video.title for video in old] == ["Long ago"], (
        "for the engine, which takes the first look for what was there"
    )
    key = there.put("Lied für Zoë 🎵", at=NOON)
    at = ago(minutes=1).replace(microsecond=0)
    there.like(key, at=at)
    (liked, *_) = (await look(ctx, watching.liked_video, watching.Likes()))[::-1]
    assert liked.model_dump() == {
        "id": key,
        "title": "Lied für Zoë 🎵",
        "url": f"https://www.youtube.com/watch?v={key}",
        "channel_id": CHANNEL,
        "channel": "Grace & Co",
        "published_at": NOON,
        "description": "About Lied für Zoë 🎵",
        "thumbnail_url": f"https://i.ytimg.com/vi/{key}/hq.jpg",
        "liked_at": at,
    }
    del there.playlists["LL"][0]
    there.playlists["LL"].append({**there._place("LL", there.put("Older"), ago(days=500))})
    assert await look(ctx, watching.liked_video, watching.Likes()) == [], "older ones come into sight again"


async def test_many_likes_are_read_over_pages_until_the_last_look(there: YouTube, ctx: FakeContext) -> None:
    await look(ctx, watching.liked_video, watching.Likes())
    there.page = 3
    for number in range(7):
        there.like(there.put(f"{number}"))
    there.playlists["LL"][0]["snippet"].pop("publishedAt")
    assert [one.title for one in await look(ctx, watching.liked_video, watching.Likes())] == [f"{n}" for n in range(6)]
    calls = [call.query.get("pageToken") for call in there.asked("GET", f"{PLACE}/playlistItems")]
    assert calls == [None, None, "3", "6"]
    assert {call.query["playlistId"] for call in there.calls} == {"LL"}


# Reactions


async def test_a_video_is_added_to_a_playlist_once(there: YouTube, ctx: FakeContext) -> None:
    key = there.put("Été 🎧")
    adding = reactions.Adding(video=f"https://youtu.be/{key}?t=3", playlist=MIX)
    assert reactions.add_to_playlist.reconciler
    assert await reactions.add_to_playlist.reconciler(ctx, adding) is None
    added = await reactions.add_to_playlist.fn(ctx, adding)
    assert added.model_dump(exclude={"id"}) == {
        "video_id": key,
        "playlist_id": MIX,
        "title": "Été 🎧",
        "position": 0,
        "url": f"https://www.youtube.com/watch?v={key}&list={MIX}",
    }
    assert await reactions.add_to_playlist.fn(ctx, adding) == added
    assert await reactions.add_to_playlist.reconciler(ctx, adding) == added
    (call,) = there.asked("POST", f"{PLACE}/playlistItems")
    assert call.query == {"part": "snippet"}
    assert call.json == {"snippet": {"playlistId": MIX, "resourceId": {"kind": "youtube#video", "videoId": key}}}
    looks = [dict(one.query) for one in there.asked("GET", f"{PLACE}/playlistItems")]
    assert looks == [{"part": "snippet", "playlistId": MIX, "videoId": key}] * 4, "a unit each, and no listing"


async def test_a_video_that_comes_in_between_is_taken_for_added(context: MakeContext) -> None:
    item = {"id": "i1", "snippet": {"resourceId": {"videoId": "video001"}, "position": 4}}
    looks = iter([[], [item], [], []])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"items": next(looks)})
        return refusal(409, "videoAlreadyInPlaylist", "Video already in playlist.")

    ctx, adding = context(answer, service=youtube.service), reactions.Adding(video="video001", playlist=MIX)
    assert (await reactions.add_to_playlist.fn(ctx, adding)).position == 4
    with pytest.raises(sdk.Rejected, match="Video already in playlist"):
        await reactions.add_to_playlist.fn(ctx, adding)


async def test_a_like_is_given_and_kept(there: YouTube, ctx: FakeContext) -> None:
    key = there.put("x")
    for _ in range(2):
        rated = await reactions.like.fn(ctx, reactions.Which(video=f"https://www.youtube.com/shorts/{key}"))
    assert (rated.video_id, rated.url, there.liked) == (key, f"https://www.youtube.com/watch?v={key}", [key])
    assert there.calls[-1].query == {"id": key, "rating": "like"}
    with pytest.raises(Gone, match="cannot be found"):
        await reactions.like.fn(ctx, reactions.Which(video="gone-video"))


async def test_a_comment_is_written_and_found_again(there: YouTube, ctx: FakeContext) -> None:
    key, text = there.put("x"), "Schön! 👏 <b>& @ada</b>\nZeile "
    said, ctx.tried_since = reactions.NewComment(video=key, text=text), ago(minutes=5)
    assert reactions.comment.reconciler
    there.commented(key, text.strip(), author="UCsomebodyelse")
    there.comments.append(there.commented(key, text.strip(), at=ago(hours=2)))
    there.comments.pop(0)
    assert await reactions.comment.reconciler(ctx, said) is None, "somebody else's, and one of an earlier run"
    written = await reactions.comment.fn(ctx, said)
    (call,) = there.asked("POST", f"{PLACE}/commentThreads")
    top = {"snippet": {"textOriginal": text}}
    assert (call.query, call.json) == ({"part": "snippet"}, {"snippet": {"videoId": key, "topLevelComment": top}})
    assert (written.author, written.text, written.video_id) == ("@adabuilds", text, key)
    assert written.url == f"https://www.youtube.com/watch?v={key}&lc={written.id}"
    assert await reactions.comment.reconciler(ctx, said) == written
    there.put("Closed", "closed-one", closed=True)
    with pytest.raises(sdk.Rejected, match="has disabled comments"):
        await reactions.comment.fn(ctx, reactions.NewComment(video="closed-one", text="x"))


async def test_a_comment_is_looked_for_among_all_since_the_first_attempt(there: YouTube, ctx: FakeContext) -> None:
    key = there.put("x")
    said, ctx.tried_since, there.page = reactions.NewComment(video=key, text="ça"), ago(minutes=5), 2
    assert reactions.comment.reconciler
    written = await reactions.comment.fn(ctx, said)
    for _ in range(4):
        there.commented(key, "first!", author="UCsomebodyelse")
    there.commented(key, "pinned", author="UCsomebodyelse", at=ago(hours=2))
    assert await reactions.comment.reconciler(ctx, said) == written
    there.commented(key, "first!", author="UCsomebodyelse")
    there.comments[:2] = reversed(there.comments[:2])
    with pytest.raises(sdk.Unknown, match="look whether"):
        await reactions.comment.reconciler(ctx, said)


# Accounts, quota, inputs


async def test_an_account_is_known_by_its_channel_s_name(there: YouTube, ctx: FakeContext) -> None:
    profile = await whose(ctx)
    assert (profile.external_id, profile.label) == ("1001", "Ada builds 🛠")
    assert profile.facts == {"email": "ada@example.com", "channel_id": OWN}
    there.users.reverse()
    assert (await whose(ctx)).facts["channel_id"] == "", "it has no channel"
    unticked = await whose(wired(youtube.service, there, "openid"))
    assert (unticked.label, unticked.facts) == ("grace@example.com", {"email": "grace@example.com", "channel_id": ""})


async def test_a_quota_that_is_used_up_is_waited_for_until_midnight_in_california(context: MakeContext) -> None:
    spent = refusal(403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota.")
    with pytest.raises(sdk.Throttled, match="exceeded your quota") as caught:
        await reactions.like.fn(context(lambda _: spent, service=youtube.service), reactions.Which(video="dQw4w9WgXcQ"))
    assert 0 < caught.value.retry_after <= 90_000


async def test_playlists_and_channels_are_offered(there: YouTube, ctx: FakeContext) -> None:
    assert await playlist_choices(ctx, {}) == [sdk.Choice(MIX, "Mix 🎧")]
    assert await channel_choices(ctx, {}) == [sdk.Choice(CHANNEL, "Grace & Co")]
    assert all(call.query["mine"] == "true" for call in there.calls)
    ctx.connected = None
    assert await channel_choices(ctx, {}) == []


def test_ids_are_taken_out_of_addresses() -> None:
    for given in (
        "dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://m.youtube.com/watch?app=desktop&v=dQw4w9WgXcQ&list=PLx&t=5s",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "http://youtu.be/dQw4w9WgXcQ?si=abcdefgh",
        "https://youtube.com/live/dQw4w9WgXcQ#x",
    ):
        assert reactions.Which(video=given).video == "dQw4w9WgXcQ", given
    for given in (
        "",
        "a b",
        "https://example.com/watch?v=dQw4w9WgXcQ",
        "dQw4w9WgXcQ&id=x",
        "https://youtu.be/",
        "é" * 11,
    ):
        with pytest.raises(ValidationError):
            reactions.Which(video=given)
    assert watching.Where(channel=f"https://www.youtube.com/channel/{CHANNEL}/").channel == CHANNEL
    for given in ("UC", "UCx&channel_id=UCy", "PLx", "https://example.com/channel/UCx"):
        with pytest.raises(ValidationError):
            watching.Where(channel=given)
    for given in ("@ada", "https://www.youtube.com/@ada"):
        with pytest.raises(ValidationError, match="is a handle, which can change"):
            watching.Where(channel=given)


def test_each_node_asks_for_the_least() -> None:
    service = youtube.service
    assert {node.scopes for node in service.actions.values()} == {(READ,)}
    assert {key: node.scopes for key, node in service.reactions.items()} == {
        "youtube.add_to_playlist": (WRITE,),
        "youtube.like": (WRITE,),
        "youtube.comment": (COMMENT,),
    }
    assert service.auth
    assert service.auth.covered([COMMENT]) == {COMMENT, WRITE, READ}
