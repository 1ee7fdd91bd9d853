"""Bluesky: sessions, lists read back to what is known, facets in bytes, posts and reposts that are written once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import bluesky, sdk
from area.nodes.bluesky import posts, provider, reactions, richtext, watching
from tests.nodes.bluesky_wire import wired
from tests.nodes.conftest import FakeContext, MakeContext
from tests.providers.bluesky import ADA, GRACE, MOMENT, PASSWORD, SIGHT, Bluesky
from tests.providers.calls import Fault

PUT = "/xrpc/com.atproto.repo.putRecord"


@pytest.fixture
def there() -> Bluesky:
    return Bluesky()


@pytest.fixture
def ctx(there: Bluesky) -> FakeContext:
    return wired(there, moment=MOMENT)


async def look(ctx: FakeContext, action: sdk.Action, **where: Any) -> list[posts.Post]:
    """One poll, which goes on from where the last one was."""
    page = await action.fn(ctx, action.inputs.model_validate(where))
    ctx.cursor = page.cursor
    return list(page.items)


# Its session


async def test_a_session_is_opened_prolonged_once_and_says_when_it_ends(there: Bluesky) -> None:
    ctx = wired(there, moment=datetime.now(UTC))
    first = await provider.open_session(ctx, {"identifier": "@ada.bsky.test", "password": PASSWORD})
    assert first.expires_in == pytest.approx(7200, abs=60)
    assert first.refresh_token
    second = await provider.prolong(ctx, first.refresh_token)
    assert (second.access_token in there.sessions, first.access_token in there.sessions) == (True, False)
    with pytest.raises(sdk.Reconnect, match="session has ended"):
        await provider.prolong(ctx, first.refresh_token)
    assert [call.path.rpartition(".")[2] for call in there.calls] == [
        "createSession",
        "refreshSession",
        "refreshSession",
    ]


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.e30.c", "a.eyJleHAiOiAieCJ9.c", "a.eyJleHAiOiAxZTQwfQ.c"])
async def test_a_token_that_does_not_say_its_end_is_used_until_it_is_refused(ctx: FakeContext, token: str) -> None:
    answer = httpx.Response(200, json={"accessJwt": token, "refreshJwt": "r"})
    assert provider._grant(ctx, answer).expires_in is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, sdk.Unavailable),
        ({"accessJwt": "a"}, sdk.Unavailable),
        ({"accessJwt": 5, "refreshJwt": "r"}, sdk.Unavailable),
        ({"accessJwt": "a", "refreshJwt": "r", "active": False, "status": "suspended"}, sdk.Rejected),
    ],
)
def test_what_opens_no_session(ctx: FakeContext, answer: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        provider._grant(ctx, httpx.Response(200, json=answer))


async def test_a_wrong_password_is_told_and_not_shown(ctx: FakeContext) -> None:
    with pytest.raises(sdk.Rejected, match="does not know this handle") as caught:
        await provider.open_session(ctx, {"identifier": "ada.bsky.test", "password": "wron-gwro-ngwr-ongw"})
    assert "wron-" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "url"),
    [({}, ""), ({"server": "pds.example.org/"}, "https://pds.example.org"), ({"identifier": "a@b.test"}, "")],
)
def test_a_server_of_ones_own(typed: dict[str, str], url: str) -> None:
    login = provider.Login.model_validate({"identifier": "@ada.test", "password": PASSWORD, **typed})
    assert provider.base_url(login.model_dump()) == url


@pytest.mark.parametrize(
    "bad",
    [{"password": "my real password"}, {"identifier": "ada"}, {"identifier": "a b.c"}, {"server": "http://a.test"}],
)
def test_what_is_no_login_is_refused_before_it_is_sent(bad: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        provider.Login.model_validate({"identifier": "ada.test", "password": PASSWORD, **bad})


async def test_an_account_is_its_did(ctx: FakeContext) -> None:
    assert await provider.identify(ctx) == sdk.Profile(
        ADA, "@ada.bsky.test", facts={"did": ADA, "handle": "ada.bsky.test"}
    )


# Mentions


async def test_a_mention_is_told_flat(there: Bluesky, ctx: FakeContext) -> None:
    there.write("@ada.bsky.test before the first look")
    assert await look(ctx, watching.mention) == []
    link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com/whole/é"}
    named = {"$type": "app.bsky.richtext.facet#mention", "did": ADA}
    parent = {"uri": f"at://{ADA}/app.bsky.feed.post/3k", "cid": "x"}
    card = {"external": {"uri": "https://example.com/card", "title": "", "description": ""}}
    uri = there.write(
        "@ada.bsky.test Grüße 🎉 example.com/wh…",
        facets=[{"index": {"byteStart": 0, "byteEnd": 14}, "features": [named, link]}, {"features": "x"}, None],
        reply={"parent": parent, "root": parent}, embed={"$type": "app.bsky.embed.external", **card},
        langs=["de"], tags=["liebe"],
    )  # fmt: skip
    (told,) = await look(ctx, watching.mention)
    assert told.model_dump() == {
        "uri": uri,
        "url": f"https://bsky.app/profile/grace.bsky.test/post/{uri.rpartition('/')[2]}",
        "text": "@ada.bsky.test Grüße 🎉 example.com/wh…",
        "author": "Grace Hopper",
        "handle": "grace.bsky.test",
        "did": GRACE,
        "reply_to": parent["uri"],
        "links": ["https://example.com/whole/é", "https://example.com/card"],
        "mentions": [ADA],
        "tags": ["liebe"],
        "languages": ["de"],
        "created_at": MOMENT,
        "indexed_at": MOMENT,
    }
    assert await look(ctx, watching.mention) == []


@pytest.mark.parametrize("knows_reasons", [True, False])
async def test_reposts_likes_and_replies_are_no_mentions(
    there: Bluesky, ctx: FakeContext, *, knows_reasons: bool
) -> None:
    there.knows_reasons = knows_reasons
    await look(ctx, watching.mention)
    there.repost(there.write("mine", by=ADA))
    there.write("an answer", reason="reply")
    there.write("a quote", reason="quote")
    there.write("@ada.bsky.test")
    before = ctx.cursor
    assert [one.text for one in await look(ctx, watching.mention)] == ["@ada.bsky.test"]
    ctx.cursor = before
    assert [one.text for one in await look(ctx, watching.mention, replies_too=True)] == ["an answer", "@ada.bsky.test"]


async def test_more_than_pages_are_read_over_several_looks_and_none_is_lost(there: Bluesky, ctx: FakeContext) -> None:
    there.write("@ada.bsky.test known")
    await look(ctx, watching.mention)
    many = watching.PAGES * SIGHT + 3
    for number in range(many):
        there.now = MOMENT + timedelta(minutes=number)
        there.write(str(number))
    first = [one.text for one in await look(ctx, watching.mention)]
    assert first == [str(number) for number in range(3, many)], "the newest, oldest first"
    assert "page" in ctx.cursor
    assert [one.text for one in await look(ctx, watching.mention)] == ["0", "1", "2"]
    assert ctx.cursor["last"] == there.now.isoformat()
    there.write("late", createdAt=there.notices[-10]["record"]["createdAt"])
    assert [one.text for one in await look(ctx, watching.mention)] == ["late"]
    assert await look(ctx, watching.mention) == []
    assert len(ctx.cursor["seen"]) == 17, "those of a quarter of an hour"


async def test_what_is_there_at_the_first_look_is_known_on_all_its_pages(there: Bluesky, ctx: FakeContext) -> None:
    for number in range(2 * SIGHT + 1):
        there.write(str(number))
    assert await look(ctx, watching.mention) == []
    assert len(ctx.cursor["seen"]) == 2 * SIGHT + 1
    there.write("new")
    assert [one.text for one in await look(ctx, watching.mention)] == ["new"]


# Posts by an account


async def test_posts_of_an_account_without_reposts_and_replies(there: Bluesky, ctx: FakeContext) -> None:
    old = there.write("old")
    there.repost(there.write("by Ada", by=ADA))
    assert await look(ctx, watching.post_by_account, author="@grace.bsky.test") == []
    there.now += timedelta(hours=1)
    there.write("é1")
    there.repost(old)
    there.write("answer", reply={"parent": {"uri": old, "cid": "x"}, "root": {"uri": old, "cid": "x"}})
    before = ctx.cursor
    assert [one.text for one in await look(ctx, watching.post_by_account, author="@grace.bsky.test")] == ["é1"]
    ctx.cursor = before
    found = await look(ctx, watching.post_by_account, author="@grace.bsky.test", replies_too=True)
    assert [one.text for one in found] == ["é1", "answer"]
    assert len(there.asked("GET", "/xrpc/com.atproto.identity.resolveHandle")) == 1, "whose DID it is, is kept"


async def test_ones_own_posts_are_meant_where_nobody_is_named(there: Bluesky, ctx: FakeContext) -> None:
    assert await look(ctx, watching.post_by_account) == []
    there.now += timedelta(minutes=1)
    there.write("mine", by=ADA)
    there.write("hers")
    assert [one.text for one in await look(ctx, watching.post_by_account)] == ["mine"]


async def test_an_account_that_is_not_there(ctx: FakeContext) -> None:
    for author in ("nobody.bsky.test", "did:plc:gone"):
        with pytest.raises(sdk.Rejected, match=r"not found|resolve") as caught:
            await look(ctx, watching.post_by_account, author=author)
        assert caught.value.code == "GONE"


async def test_rows_of_an_odd_shape_break_nothing(context: MakeContext) -> None:
    rows = [
        None,
        {},
        {"post": 5},
        {"post": {"uri": "at://x", "indexedAt": "soon"}},
        {"post": {"indexedAt": "2026-03-01T08:00:00Z"}},
    ]
    odd = {
        "uri": "at://x/y/z",
        "indexedAt": "2026-03-01T08:00:00Z",
        "record": {"$type": "app.bsky.feed.post", "facets": 5},
    }
    state = {"author": GRACE, "last": MOMENT.isoformat(), "seen": {}}
    ctx = context(
        lambda _: httpx.Response(200, json={"feed": [*rows, {"post": odd}]}), service=bluesky.service, cursor=state
    )
    (told,) = await look(ctx, watching.post_by_account)
    assert (told.uri, told.text, told.handle, told.created_at) == ("at://x/y/z", "", "", MOMENT)


# Texts


def shown(text: str) -> list[tuple[str, str]]:
    """What the facets of a text cover, and what they lead to."""
    found = richtext.facets(text, {"ada.bsky.test": ADA}.get)
    raw = text.encode()
    return [
        (raw[one["index"]["byteStart"] : one["index"]["byteEnd"]].decode(), next(v for k, v in feature.items() if k != "$type"))
        for one in found
        for feature in one["features"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Grüße 🎉 https://example.com/ü?a=b#c.", [("https://example.com/ü?a=b#c", "https://example.com/ü?a=b#c")]),
        ("(see https://a.test/x_(y)), ok", [("https://a.test/x_(y)", "https://a.test/x_(y)")]),
        ("👩‍👩‍👧 @ada.bsky.test! and @nobody.test", [("@ada.bsky.test", ADA)]),
        ("mail@ada.bsky.test https://a.test/@ada.bsky.test", [("https://a.test/@ada.bsky.test",) * 2]),
        ("@ada.bsky.test, @ada.bsky.test.", [("@ada.bsky.test", ADA)] * 2),
        ("é #straße, #1 #2a! x#no # #", [("#straße", "straße"), ("#2a", "2a")]),
        ("https:// http://! plain.test", []),
        ("", []),
    ],
)
def test_facets_count_bytes(text: str, wanted: list[tuple[str, str]]) -> None:
    assert shown(text) == wanted


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Grüße", 5),
        ("u\u0308ber", 4),
        ("👩‍👩‍👧‍👦", 1),
        ("👍🏽👍", 2),
        ("🇩🇪🇫🇷🇪", 3),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", 1),
        ("1️⃣ ❤️", 3),
        ("각한", 2),
        ("\u1112\u1161\u11ab", 1),
        ("a\r\nb", 3),
        ("नि", 1),
    ],
)
def test_a_character_is_what_a_reader_takes_for_one(text: str, count: int) -> None:
    assert richtext.graphemes(text) == count


# Writing


async def test_a_post_is_a_record_with_a_key_of_ours(there: Bluesky, ctx: FakeContext) -> None:
    root = there.write("root")
    parent = there.write("parent", reply={"root": {"uri": root, "cid": "c1"}, "parent": {"uri": root, "cid": "c1"}})
    given = reactions.NewPost.model_validate(
        {
            "text": "Grüße @grace.bsky.test, @nobody.test", "language": "de",
            "reply_to": f"https://bsky.app/profile/grace.bsky.test/post/{parent.rpartition('/')[2]}",
            "link": "https://example.com/é", "link_title": "É", "link_text": "…",
        }
    )  # fmt: skip
    said = await reactions.post.fn(ctx, given)
    key = reactions.key_of("run-1/step-1")
    assert said.model_dump() == {
        "uri": f"at://{ADA}/app.bsky.feed.post/{key}",
        "url": f"https://bsky.app/profile/ada.bsky.test/post/{key}",
    }
    (sent,) = there.asked("POST", PUT)
    mention = {"$type": "app.bsky.richtext.facet#mention", "did": GRACE}
    assert sent.json == {
        "repo": ADA,
        "collection": "app.bsky.feed.post",
        "rkey": key,
        "record": {
            "$type": "app.bsky.feed.post",
            "text": "Grüße @grace.bsky.test, @nobody.test",
            "createdAt": "2026-03-01T08:00:00.000Z",
            "facets": [{"index": {"byteStart": 8, "byteEnd": 24}, "features": [mention]}],
            "langs": ["de"],
            "reply": {"root": {"uri": root, "cid": "c1"}, "parent": {"uri": parent, "cid": there._view(parent)["cid"]}},
            "embed": {
                "$type": "app.bsky.embed.external",
                "external": {"uri": "https://example.com/%C3%A9", "title": "É", "description": "…"},
            },
        },
    }
    assert ctx.lines == [("info", "Nobody has the handle nobody.test: it is no mention.")]


def test_keys_are_tids_of_the_past_and_the_same_for_the_same_step() -> None:
    keys = [reactions.key_of(f"step-{number}") for number in range(300)]
    assert keys == [reactions.key_of(f"step-{number}") for number in range(300)]
    assert len(set(keys)) == 300
    for key in keys:
        assert len(key) == 13
        number = sum(reactions.SIGNS.index(sign) << shift for sign, shift in zip(key, range(60, -1, -5), strict=True))
        assert datetime.fromtimestamp((number >> 10) / 1e6, UTC).year == 2023


async def test_a_repeat_finds_the_first_one_and_changes_nothing(there: Bluesky) -> None:
    given = reactions.NewPost(text="once 🎉", mentions=False)
    first = await reactions.post.fn(wired(there, moment=MOMENT), given)
    again = wired(there, moment=MOMENT + timedelta(days=2), tried_since=MOMENT)
    assert await reactions.post.fn(again, given) == first
    assert again.lines == [("info", f"An earlier attempt had written it: {first.uri}")]
    assert (len(there.asked("POST", PUT)), there.texts()) == (1, ["once 🎉"])
    another = wired(there, moment=MOMENT, tried_since=MOMENT, idempotency_key="run-2/step-1")
    assert (await reactions.post.fn(another, given)).uri != first.uri


async def test_names_that_others_wrote_are_no_mentions(there: Bluesky, ctx: FakeContext) -> None:
    await reactions.post.fn(ctx, reactions.NewPost(text="@grace.bsky.test https://a.test", mentions=False))
    (facet,) = there.asked("POST", PUT)[0].json["record"]["facets"]
    assert facet["features"] == [{"$type": "app.bsky.richtext.facet#link", "uri": "https://a.test"}]


async def test_a_repost_is_one_repost(there: Bluesky, ctx: FakeContext) -> None:
    uri = there.write("x")
    first = await reactions.repost.fn(ctx, reactions.Chosen(post=uri))
    assert await reactions.repost.fn(ctx, reactions.Chosen(post=uri)) == first
    assert (first.post_uri, there.reposted()) == (uri, [uri])
    assert len(there.asked("POST", PUT)) == 1, "Bluesky says that it is there"


async def test_a_post_that_is_gone_is_neither_answered_nor_reposted(there: Bluesky, ctx: FakeContext) -> None:
    gone = f"at://{GRACE}/app.bsky.feed.post/3k"
    for node, given in (
        (reactions.repost, reactions.Chosen(post=gone)),
        (reactions.post, reactions.NewPost(text="x", reply_to=gone)),
    ):
        with pytest.raises(sdk.Rejected, match="not there any more") as caught:
            await node.fn(ctx, given)
        assert caught.value.code == "GONE"
    assert there.asked("POST", PUT) == []


@pytest.mark.parametrize("text", ["é" * 301, "👩‍👩‍👧‍👦" * 130])
async def test_a_text_that_is_too_long_is_told_before(there: Bluesky, ctx: FakeContext, text: str) -> None:
    with pytest.raises(sdk.Rejected, match=r"300 and 3000 at most.*truncate") as caught:
        await reactions.post.fn(ctx, reactions.NewPost(text=text))
    assert (caught.value.code, caught.value.field, there.calls) == ("TOO_LONG", "text", [])


@pytest.mark.parametrize(
    "bad",
    [{"text": ""}, {"reply_to": "at://x"}, {"reply_to": "https://evil.test/x"}, {"link": "ftp://x"}, {"language": "D"}],
)
def test_what_bluesky_would_refuse_is_refused_before(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reactions.NewPost.model_validate({"text": "x"} | bad)


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (400, {"error": "ExpiredToken", "message": "Token has expired"}, sdk.Reconnect, "RECONNECT"),
        (400, {"error": "InvalidToken", "message": "Bad token"}, sdk.Reconnect, "RECONNECT"),
        (401, {"error": "AuthMissing", "message": "x"}, sdk.Reconnect, "RECONNECT"),
        (400, {"error": "AccountTakedown", "message": "x"}, sdk.Reconnect, "RECONNECT"),
        (401, {"error": "AuthFactorTokenRequired", "message": "x"}, sdk.Rejected, "APP_PASSWORD_NEEDED"),
        (400, {"error": "InvalidRequest", "message": "text must not be longer than 300 graphemes"}, sdk.Rejected, "TOO_LONG"),
        (400, {"error": "InvalidRequest", "message": "odd"}, sdk.Rejected, "REFUSED"),
        (502, {"error": "UpstreamFailure", "message": "x"}, sdk.Unavailable, "UNAVAILABLE"),
    ],
)  # fmt: skip
async def test_what_refusals_mean(
    there: Bluesky, ctx: FakeContext, status: int, body: Any, error: type[sdk.NodeError], code: str
) -> None:
    there.next(Fault(status=status, body=body))
    with pytest.raises(error) as caught:
        await reactions.post.fn(ctx, reactions.NewPost(text="x"))
    assert caught.value.code == code


async def test_a_limit_is_waited_for(there: Bluesky, ctx: FakeContext) -> None:
    reset = str(int((datetime.now(UTC) + timedelta(seconds=90)).timestamp()))
    headers = {"RateLimit-Limit": "3000", "RateLimit-Remaining": "0", "RateLimit-Reset": reset}
    there.next(
        Fault(status=429, headers=headers, body={"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"})
    )
    with pytest.raises(sdk.Throttled) as caught:
        await look(ctx, watching.mention)
    assert 60 < caught.value.retry_after <= 90


@pytest.mark.parametrize("body", ["<html>", {}, [], {"uri": ""}, {"uri": 5}, {"error": "x"}])
async def test_an_answer_that_says_nothing_may_have_written_it(there: Bluesky, ctx: FakeContext, body: Any) -> None:
    there.next(Fault(body=body))
    with pytest.raises(sdk.Unknown):
        await reactions.post.fn(ctx, reactions.NewPost(text="x"))


@pytest.mark.parametrize("body", ["<html>", {"feed": 5}, []])
async def test_a_list_that_is_none_is_looked_for_again(there: Bluesky, ctx: FakeContext, body: Any) -> None:
    there.next(Fault(body=body))
    with pytest.raises(sdk.Unavailable, match="holds no notifications"):
        await look(ctx, watching.mention)
