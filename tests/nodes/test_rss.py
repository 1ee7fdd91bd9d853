"""Feeds, from strings."""

from datetime import UTC, datetime

import httpx
import pytest

from area.nodes import rss, sdk
from tests.nodes.conftest import MakeContext

WHERE = rss.Feed(url="https://news.test/feed")
MOMENT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>T</title><link>https://news.test/</link>
<item><title>Two</title><link>https://news.test/2</link><guid isPermaLink="false">g2</guid>
<description>Second</description><author>ada@news.test</author><pubDate>Sun, 01 Mar 2026 09:00:00 +0100</pubDate></item>
<item><title>One</title><link>https://news.test/1</link></item></channel></rss>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>T</title><id>f</id>
<updated>2026-03-01T08:00:00Z</updated><entry><id>tag:1</id><title>One</title><link href="/1"/>
<summary>First</summary><author><name>Ada</name></author><updated>2026-03-01T08:00:00Z</updated></entry></feed>"""
JSON = """{"version": "https://jsonfeed.org/version/1.1", "title": "T", "items": [{"id": "j1", "url": "https://news.test/1",
"title": "One", "content_text": "First", "authors": [{"name": "Ada"}], "date_published": "2026-03-01T09:00:00+01:00"}]}"""


def serving(body: str, kind: str, **headers: str) -> httpx.Response:
    return httpx.Response(200, text=body, headers={"content-type": kind, **headers})


async def poll(context: MakeContext, response: httpx.Response) -> sdk.Page[rss.Item]:
    page: sdk.Page[rss.Item] = await rss.new_item.fn(context(lambda _: response), WHERE)
    return page


async def test_rss_in_the_order_of_publication(context: MakeContext) -> None:
    page = await poll(context, serving(RSS, "application/rss+xml", ETag='"v1"'))
    assert [item.id for item in page.items] == ["https://news.test/1", "g2"]
    assert page.items[1] == rss.Item(
        id="g2",
        title="Two",
        link="https://news.test/2",
        summary="Second",
        author="ada@news.test",
        published_at=MOMENT,
    )
    assert page.items[0].published_at is None
    assert page.cursor == {"etag": '"v1"', "last_modified": None}


async def test_atom_and_json_feed(context: MakeContext) -> None:
    atom = (await poll(context, serving(ATOM, "application/atom+xml"))).items
    assert atom == [
        rss.Item(
            id="tag:1",
            title="One",
            link="https://news.test/1",
            summary="First",
            author="Ada",
            published_at=MOMENT,
        )
    ]
    assert (await poll(context, serving(JSON, "application/feed+json"))).items == [
        atom[0].model_copy(update={"id": "j1"})
    ]


async def test_an_unchanged_feed_is_not_sent_again(context: MakeContext) -> None:
    cursor = {"etag": '"v1"', "last_modified": "Sun, 01 Mar 2026 08:00:00 GMT"}
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(304)

    page = await rss.new_item.fn(context(answer, cursor=cursor), WHERE)
    assert (page.items, page.cursor) == ([], cursor)
    assert seen[0].headers["if-none-match"] == '"v1"'
    assert seen[0].headers["if-modified-since"] == cursor["last_modified"]


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ("<html><body>Hi</body></html>", "text/html; charset=utf-8", "answered text/html"),
        ('{"a": 1}', "application/json", "answered application/json"),
        ("{", "application/json", "answered application/json"),
        ("", "text/plain", "answered text/plain"),
        (
            '<html><head><link rel="alternate" type="application/rss+xml" href="/rss.xml"></head></html>',
            "text/html",
            r"offers https://news\.test/rss\.xml",
        ),
    ],
)
async def test_what_is_not_a_feed_is_rejected(context: MakeContext, body: str, kind: str, said: str) -> None:
    with pytest.raises(sdk.Rejected, match=f"is not a feed: .*{said}|{said}"):
        await poll(context, serving(body, kind))


async def test_a_missing_feed_is_rejected(context: MakeContext) -> None:
    with pytest.raises(sdk.Rejected, match=r"news\.test answered 404"):
        await poll(context, httpx.Response(404))


async def test_a_feed_cannot_read_local_files(context: MakeContext) -> None:
    body = RSS.replace(
        '<?xml version="1.0"?>', '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    )
    page = await poll(context, serving(body.replace("Second", "&x;"), "application/rss+xml"))
    assert "root:" not in "".join(item.summary for item in page.items)
