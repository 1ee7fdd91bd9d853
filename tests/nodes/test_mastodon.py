"""Mastodon: instances and tokens, mentions and posts read without a gap, posts written once, and what refusals mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import mastodon, sdk
from area.nodes.mastodon import posts, provider, reactions, watching
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.mastodon_wire import wired
from tests.providers.calls import Fault
from tests.providers.mastodon import MOMENT, READ_ONLY, SIGHT, Mastodon

LATER = timedelta(hours=2)


@pytest.fixture
def there() -> Mastodon:
    return Mastodon()


@pytest.fixture
def ctx(there: Mastodon) -> FakeContext:
    return wired(there, moment=MOMENT)


async def look(ctx: FakeContext, action: sdk.Action, **where: Any) -> list[posts.Post]:
    """One poll, which goes on from where the last one was. What is shown again is nothing new, as in the engine."""
    page = await action.fn(ctx, action.inputs.model_validate(where))
    ctx.cursor = page.cursor
    seen: set[str] = ctx.__dict__.setdefault("seen", set())
    fresh = [one for one in page.items if one.id not in seen]
    seen |= {one.id for one in fresh}
    return fresh


# Whose account


@pytest.mark.parametrize(
    ("instance", "url"),
    [
        ("mastodon.social", ""),
        ("https://mastodon.social/", ""),
        ("social.example.org", "https://social.example.org"),
        ("https://Social.Example.org:8443/", "https://Social.Example.org:8443"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ],
)
def test_an_instance_is_called_by_https_and_the_usual_one_as_the_operator_says(instance: str, url: str) -> None:
    typed = provider.Login(instance=instance, token="x" * 20)
    assert provider.base_url(typed.model_dump()) == url


@pytest.mark.parametrize(
    "instance",
    [
        "http://mastodon.social",
        "http://127.0.0.1.evil.test",
        "ftp://a.test",
        "https://a.test@evil.test",
        "mastodon.social/@ada",
        "a.test?x",
        "a.test\n",
        "a b.c",
        "x",
        "10.0.0.1",
    ],
)
def test_what_is_no_instance_never_gets_a_token(instance: str) -> None:
    with pytest.raises(ValidationError):
        provider.Login(instance=instance, token="x" * 20)


async def test_an_account_is_named_by_its_instance_too(ctx: FakeContext) -> None:
    assert await provider.identify(ctx) == sdk.Profile(
        "1001@home.test",
        "@ada@home.test",
        "https://home.test/ada.png",
        {"id": "1001", "username": "ada", "instance": "home.test"},
    )


# Mentions


async def test_a_mention_is_told_flat_and_without_markup(there: Mastodon, ctx: FakeContext) -> None:
    there.write("@ada before the first look")
    assert await look(ctx, watching.mention) == []
    post = there.write(
        "@ada Grüße & Küsse 🎉\nvon <mir>\n\nZwei", tags=[{"name": "liebe", "url": "https://home.test/t"}]
    )
    (told,) = await look(ctx, watching.mention)
    assert told.model_dump() == {
        "id": post["id"],
        "url": f"https://home.test/@grace/{post['id']}",
        "text": "@ada Grüße & Küsse 🎉\nvon <mir>\n\nZwei",
        "html": "<p>@ada Grüße &amp; Küsse 🎉<br />von &lt;mir&gt;</p><p>Zwei</p>",
        "warning": "",
        "author": "Grace Hopper",
        "acct": "grace",
        "author_url": "https://home.test/@grace",
        "is_bot": False,
        "visibility": "public",
        "language": "en",
        "reply_to": None,
        "mentions": ["ada"],
        "tags": ["liebe"],
        "media": [],
        "created_at": datetime(2026, 3, 1, 8, tzinfo=UTC),
        "edited_at": None,
    }
    assert await look(ctx, watching.mention) == []


async def test_boosts_edits_and_bots_are_no_mentions(there: Mastodon, ctx: FakeContext) -> None:
    first = there.write("@ada one")
    await look(ctx, watching.mention)
    there.boost(first)
    there.edit(first, "<p>@ada changed</p>")
    bot = there.write("@ada beep")
    bot["account"]["bot"] = True
    assert await look(ctx, watching.mention) == []
    assert [one.text for one in await look(wired(there, cursor={"last": "0"}), watching.mention, bots_too=True)] == [
        "@ada changed",
        "@ada beep",
    ]


async def test_an_instance_that_does_not_filter_is_not_believed(there: Mastodon, context: MakeContext) -> None:
    boosted = there.boost(there.write("x"))
    number = there.notify("reblog", there.users[1], boosted)
    rows = [
        there.notices[number],
        {**there.notices[number], "type": "mention"},
        {"id": "9" * 30, "type": "mention"},
        None,
    ]
    ctx = context(lambda _: httpx.Response(200, json=rows), service=mastodon.service, cursor={"last": "0"})
    assert await look(ctx, watching.mention) == []
    assert ctx.cursor == {"last": "9" * 30}


async def test_a_row_that_lacks_what_each_has_does_not_hold_up_the_others(
    there: Mastodon, context: MakeContext
) -> None:
    strange, other, last = there.write("@ada ?"), there.write("@ada other"), there.write("@ada last")
    strange["created_at"] = None
    other |= {"in_reply_to_id": 103, "language": ["en"]}
    rows = list(there.notices.values())
    ctx = context(lambda _: httpx.Response(200, json=rows), service=mastodon.service, cursor={"last": "0"})
    told = await look(ctx, watching.mention)
    assert [(one.id, one.reply_to, one.language) for one in told] == [
        (other["id"], "103", None), (last["id"], None, "en"),
    ]  # fmt: skip
    assert f"post {strange['id']} is passed over" in ctx.lines[0][1]


async def test_more_than_pages_are_read_in_order_and_none_is_lost(there: Mastodon, ctx: FakeContext) -> None:
    await look(ctx, watching.mention)
    many = watching.PAGES * SIGHT + 3
    for number in range(many):
        there.write(f"@ada {number}")
    there.hidden = set(list(there.notices)[SIGHT : 2 * SIGHT])  # the second page is empty, and is not the last
    first = await look(ctx, watching.mention)
    assert len(there.asked("GET", "/api/v1/notifications")) == 1 + watching.PAGES
    second = await look(ctx, watching.mention)
    told = [f"@ada {number}" for number in (*range(SIGHT), *range(2 * SIGHT, many))]
    assert ([one.text for one in first], [one.text for one in first + second]) == (told[:-3], told)


def test_ids_are_ordered_by_length_and_then_as_text() -> None:
    assert sorted(["10", "9", "100", "0"], key=posts.order) == ["0", "9", "10", "100"]
    assert posts.newer("01KA8B2", "01KA8A9")


# Posts by an account


async def test_posts_of_an_account_without_boosts_and_replies(there: Mastodon, ctx: FakeContext) -> None:
    there.write("old")
    assert await look(ctx, watching.post_by_account, author="@grace@home.test") == []
    first = there.write("é1")
    there.boost(there.write("by Ada", by=there.users[0]))
    answer = there.write("an answer", reply_to=first["id"])
    assert [one.text for one in await look(ctx, watching.post_by_account, author="@grace@home.test")] == ["é1"]
    (told,) = await look(ctx, watching.post_by_account, author="@grace@home.test", replies_too=True)
    assert (told.id, told.reply_to) == (answer["id"], first["id"])
    there.edit(first, "<p>changed</p>")
    assert await look(ctx, watching.post_by_account, author="@grace@home.test", replies_too=True) == []
    assert len(there.asked("GET", "/api/v1/accounts/lookup")) == 1, "whose id it is, is kept"


async def test_a_post_that_comes_after_younger_ones_is_not_lost(there: Mastodon, ctx: FakeContext) -> None:
    before, *_ = [there.write(f"old {number}") for number in range(6)]
    late = there.posts.pop(int(before["id"]))
    assert await look(ctx, watching.post_by_account, author="grace") == []
    slow, *_ = [there.write(f"{number}") for number in range(7)]
    on_its_way = there.posts.pop(int(slow["id"]))
    assert [one.text for one in await look(ctx, watching.post_by_account, author="grace")] == list("123456")
    there.posts |= {int(slow["id"]): on_its_way, int(before["id"]): late}
    assert [one.text for one in await look(ctx, watching.post_by_account, author="grace")] == ["0"]
    assert await look(ctx, watching.post_by_account, author="grace") == []


async def test_a_post_more_than_an_hour_late_is_passed_over_and_the_cursor_never_goes_back(
    there: Mastodon, ctx: FakeContext
) -> None:
    assert await look(ctx, watching.post_by_account, author="grace") == []
    late = there.write("late")
    there.posts.pop(int(late["id"]))
    there._id += (2 * 3600 * 1000) << 16  # two hours
    for number in range(watching.PAGES * SIGHT + 10):
        there.write(f"{number}")
    assert len(await look(ctx, watching.post_by_account, author="grace")) == watching.PAGES * SIGHT
    assert len(await look(ctx, watching.post_by_account, author="grace")) == 10
    there.posts[int(late["id"])] = late
    assert await look(ctx, watching.post_by_account, author="grace") == []
    assert ctx.cursor["last"] == str(there._id)


async def test_a_newest_row_that_is_filtered_out_does_not_make_all_the_older_ones_news(
    there: Mastodon, ctx: FakeContext
) -> None:
    there.write("@ada old")
    there.write("@ada newest")
    there.hidden = {max(there.notices), max(there.posts)}
    for action in (watching.mention, watching.post_by_account):
        ctx.cursor = None
        for _ in range(2):
            assert await look(ctx, action, **({"author": "grace"} if action is watching.post_by_account else {})) == []


async def test_ones_own_posts_are_meant_where_nobody_is_named(there: Mastodon, ctx: FakeContext) -> None:
    assert await look(ctx, watching.post_by_account) == []
    there.write("mine", by=there.users[0])
    there.write("hers")
    assert [one.text for one in await look(ctx, watching.post_by_account)] == ["mine"]


async def test_nobody_of_this_name(ctx: FakeContext) -> None:
    with pytest.raises(sdk.Rejected, match="Record not found") as caught:
        await look(ctx, watching.post_by_account, author="nobody")
    assert caught.value.code == "GONE"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            '<p>See <a href="https://example.com/long/path"><span class="invisible">https://</span>'
            '<span class="ellipsis">example.com/long</span><span class="invisible">/path</span></a></p>',
            "See https://example.com/long/path",
        ),
        ("<p>a &lt;b&gt; &amp;amp; c</p><p>d<br>e<br/>f</p>", "a <b> &amp; c\n\nd\ne\nf"),
        ("<ul><li>één</li><li>twee</li></ul>", "• één\n• twee"),
        ("", ""),
    ],
)
def test_markup_becomes_text(html: str, text: str) -> None:
    assert posts.plain(html) == text


# Writing


async def test_a_post_is_sent_whole_and_a_repeat_is_the_first_one(there: Mastodon, ctx: FakeContext) -> None:
    given = reactions.NewPost.model_validate(
        {"text": "Grüße, @grace 🎉", "visibility": "direct", "warning": "Süß", "reply_to": "103", "language": "de"}
    )
    said = await reactions.post.fn(ctx, given)
    assert await reactions.post.fn(ctx, given) == said
    assert said.model_dump() == {
        "id": "103254962155278001",
        "url": "https://home.test/@ada/103254962155278001",
        "text": "Grüße, @grace 🎉",
        "visibility": "direct",
        "created_at": MOMENT,
    }
    (sent, _) = there.asked("POST", "/api/v1/statuses")
    assert (sent.headers["idempotency-key"], sent.json) == (
        "run-1/step-1",
        {
            "status": "Grüße, @grace 🎉",
            "visibility": "direct",
            "spoiler_text": "Süß",
            "in_reply_to_id": "103",
            "language": "de",
        },
    )
    assert there.texts() == ["Grüße, @grace 🎉"]


async def test_others_words_tell_nobody_where_that_is_not_wanted(there: Mastodon, ctx: FakeContext) -> None:
    said = await reactions.post.fn(ctx, reactions.NewPost(text="@ada, x²@ada, mail a@b.test @ noon", mentions=False))
    assert there.notices == {}
    assert said.text == "@\u200bada, x²@\u200bada, mail a@b.test @ noon"
    assert there.asked("POST", "/api/v1/statuses")[0].json == {"status": said.text}


async def test_a_key_that_is_forgotten_is_made_up_for_by_a_look(there: Mastodon) -> None:
    given = reactions.NewPost(text="Nur  einmal\n🎉", warning="w")
    first = await reactions.post.fn(wired(there, moment=MOMENT), given)
    there.keys.clear()
    for other in ("another", "Nur einmal 🎉"):
        there.write(other, by=there.users[0])
    again = wired(there, moment=MOMENT + LATER, tried_since=MOMENT)
    assert await reactions.post.fn(again, given) == first
    assert again.lines == [("info", f"An earlier attempt had written it, as post {first.id}")]
    assert len(there.asked("POST", "/api/v1/statuses")) == 1
    # What is older than the first attempt is another post.
    await reactions.post.fn(wired(there, moment=MOMENT + 2 * LATER, tried_since=MOMENT + LATER), given)
    assert len(there.asked("POST", "/api/v1/statuses")) == 2


async def test_within_the_hour_the_key_is_enough(there: Mastodon) -> None:
    await reactions.post.fn(
        wired(there, moment=MOMENT + timedelta(minutes=9), tried_since=MOMENT), reactions.NewPost(text="x")
    )
    assert [call.method for call in there.calls] == ["POST"]


async def test_too_many_posts_to_look_through_are_not_written_upon(there: Mastodon, context: MakeContext) -> None:
    row = there.write("x", by=there.users[0])
    ctx = wired(there)
    full = context(
        lambda _: httpx.Response(200, json=[{**row, "spoiler_text": "other"}] * reactions.LOOKED_AT),
        service=mastodon.service, connected=ctx.account, moment=MOMENT + LATER, tried_since=MOMENT,
    )  # fmt: skip
    with pytest.raises(sdk.Unknown, match="look at the account's profile"):
        await reactions.post.fn(full, reactions.NewPost(text="y"))


async def test_a_boost_is_one_boost_also_of_a_boost(there: Mastodon, ctx: FakeContext) -> None:
    post = there.write("x")
    done = await reactions.boost.fn(ctx, reactions.Chosen(post_id=post["id"]))
    assert done == await reactions.boost.fn(ctx, reactions.Chosen(post_id=post["id"]))
    assert (done.post_id, done.url) == (post["id"], post["url"])
    assert [row["reblog"]["id"] for row in there.posts.values() if row["reblog"]] == [post["id"]]
    with pytest.raises(sdk.Rejected, match="Record not found"):
        await reactions.boost.fn(ctx, reactions.Chosen(post_id="1"))


@pytest.mark.parametrize(
    "bad", [{"text": ""}, {"visibility": "all"}, {"reply_to": "../x"}, {"language": "Deutsch"}, {"warning": "x" * 501}]
)
def test_what_no_instance_takes_is_refused_before(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reactions.NewPost.model_validate({"text": "x"} | bad)


# Refusals


async def test_a_text_that_is_too_long_is_told_with_a_way_out(ctx: FakeContext) -> None:
    with pytest.raises(sdk.Rejected, match=r"limit of 500 exceeded.*truncate") as caught:
        await reactions.post.fn(ctx, reactions.NewPost(text="ü" * 499, warning="zz"))
    assert caught.value.code == "TOO_LONG"


async def test_a_token_without_the_scope_says_which_are_needed(there: Mastodon) -> None:
    with pytest.raises(sdk.Rejected, match="write:statuses") as caught:
        await reactions.post.fn(wired(there, READ_ONLY), reactions.NewPost(text="x"))
    assert caught.value.code == "MISSING_SCOPE"


async def test_a_token_that_is_gone_asks_for_the_account_again(there: Mastodon) -> None:
    with pytest.raises(sdk.Reconnect) as caught:
        await provider.identify(wired(there, "gone-token"))
    assert "gone-token" not in str(caught.value)


async def test_a_reset_in_iso_is_waited_for(there: Mastodon, ctx: FakeContext) -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    there.next(Fault(status=429, headers=headers, body={"error": "Too many requests"}))
    with pytest.raises(sdk.Throttled) as caught:
        await look(ctx, watching.mention)
    assert 60 < caught.value.retry_after <= 90


@pytest.mark.parametrize("body", ["<html>", {}, [], {"id": ""}, {"id": "1"}, {"id": "1", "created_at": "soon"}])
async def test_an_answer_that_says_nothing_may_have_written_it(there: Mastodon, ctx: FakeContext, body: Any) -> None:
    there.next(Fault(body=body))
    with pytest.raises(sdk.Unknown):
        await reactions.post.fn(ctx, reactions.NewPost(text="x"))


@pytest.mark.parametrize("body", ["<html>", {"id": "1"}, None])
async def test_a_list_that_is_none_is_looked_for_again(there: Mastodon, ctx: FakeContext, body: Any) -> None:
    there.next(Fault(body=body))
    with pytest.raises(sdk.Unavailable, match=r"home\.test answered 200 with something else"):
        await look(ctx, watching.mention)


async def test_a_link_to_elsewhere_is_never_followed(there: Mastodon, context: MakeContext) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json=[], headers={"link": '<https://evil.test/x?min_id=77>; rel="prev"'})

    ctx = context(answer, service=mastodon.service, cursor={"last": "5"})
    assert await look(ctx, watching.mention) == []
    assert ([url.host for url in asked], ctx.cursor) == (["mastodon.social"] * 2, {"last": "77"})
