"""WebSub, by which YouTube's hub tells of videos: https://developers.google.com/youtube/v3/guides/push_notifications

The hub asks our address by GET before it believes a subscription, or its end; grants it for days, and signs what it delivers with
the secret it was given. The rules: https://www.w3.org/TR/websub/
"""

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.parsers import expat

from area.nodes import sdk
from area.nodes.youtube.provider import HUB_PATH

HUB = f"https://pubsubhubbub.appspot.com{HUB_PATH}"
TOPIC = "https://www.youtube.com/xml/feeds/videos.xml?channel_id="
LEASE = timedelta(days=5)
"""What is asked for; the hub says what it grants."""
CONFIRMED_WITHIN = timedelta(minutes=15)
"""How long the hub may take to ask our address."""
SINCE = "since"
"""Of a callback: from which moment on videos are new, in epoch seconds. The hub keeps a callback's query as it is."""
ATOM, YT = "http://www.w3.org/2005/Atom", "http://www.youtube.com/xml/schemas/2015"
FEED, ENTRY = f"{ATOM} feed", f"{ATOM} entry"
FIELDS = {
    (f"{YT} videoId",): "id",
    (f"{YT} channelId",): "channel_id",
    (f"{ATOM} title",): "title",
    (f"{ATOM} published",): "published",
    (f"{ATOM} updated",): "updated",
    (f"{ATOM} author", f"{ATOM} name"): "channel",
}
REFUSED = 404
PLAIN = {"X-Content-Type-Options": "nosniff"}
"""A challenge is said back as text, and must not be taken for anything else."""
SIGNED = sdk.AnyOf(
    # The hub signs by SHA-1 at present; WebSub allows these, and wants forged deliveries accepted and dropped.
    tuple(
        sdk.Hmac(header="X-Hub-Signature", prefix=f"{name}=", algorithm=name, refusal=202)
        for name in ("sha1", "sha256", "sha384", "sha512")
    )
)


def topic_of(channel: str) -> str:
    """The feed of a channel, as the hub knows it."""
    return TOPIC + channel


# What the hub asks


def confirm(topic: str, delivery: sdk.WebhookDelivery) -> sdk.Answer:
    """The answer to the hub while deliveries of ``topic`` are wanted. Raises: SubscriptionEnded when it says that it will not."""
    mode, challenge = _asked(topic, delivery)
    if mode == "denied":
        reason = " ".join(delivery.query.get("hub.reason", "")[:300].split()) or "it gives no reason"
        raise sdk.SubscriptionEnded(f"YouTube's hub has refused to deliver: {reason}.", again_after=3600)
    if mode != "subscribe" or not challenge:
        return sdk.Answer("This is not wanted.", REFUSED)
    seconds = _seconds(delivery.query.get("hub.lease_seconds", ""))
    return sdk.Answer(challenge, headers=PLAIN, lease=float(seconds or LEASE.total_seconds()))


def let_go(topic: str, delivery: sdk.WebhookDelivery) -> sdk.Answer:
    """The answer to the hub when nobody wants deliveries of ``topic`` any more: it may end them, and not begin again."""
    mode, challenge = _asked(topic, delivery)
    if mode != "unsubscribe" or not challenge:
        return sdk.Answer("This is not wanted.", REFUSED)
    return sdk.Answer(challenge, headers=PLAIN)


def _asked(topic: str, delivery: sdk.WebhookDelivery) -> tuple[str, str]:
    """Mode and challenge; empty for another topic."""
    query = delivery.query
    if query.get("hub.topic") != topic:
        return "", ""
    return query.get("hub.mode", ""), query.get("hub.challenge", "")


# What the hub is asked


async def subscribe(ctx: sdk.Context, topic: str, hook: sdk.Hook) -> sdk.Subscription:
    """Ask for deliveries, or for more of them. A callback stays the same from its first subscription on."""
    _reachable(ctx, hook.url)
    since = watched_since(dict(parse_qsl(urlsplit(hook.remote_id or "").query))) or int(ctx.now().timestamp())
    callback = f"{hook.url}?{urlencode({SINCE: since})}"
    more = {"hub.secret": hook.secret, "hub.lease_seconds": str(int(LEASE.total_seconds()))}
    await _ask(ctx, "subscribe", topic, callback, more)
    return sdk.Subscription(callback, expires_at=ctx.now() + CONFIRMED_WITHIN, unconfirmed=True)


async def unsubscribe(ctx: sdk.Context, topic: str, callback: str) -> None:
    """Ask for no more."""
    await _ask(ctx, "unsubscribe", topic, callback, {})


async def _ask(ctx: sdk.Context, mode: str, topic: str, callback: str, more: dict[str, str]) -> None:
    form = {"hub.mode": mode, "hub.topic": topic, "hub.callback": callback, "hub.verify": "async", **more}
    answer = await ctx.client_http.post(ctx.settings.get("hub_url") or HUB, data=form)
    if answer.status_code not in (202, 204):
        raise sdk.Unavailable(
            f"YouTube's hub answered {answer.status_code} where it accepts or refuses; it is asked again."
        )


def _reachable(ctx: sdk.Context, url: str) -> None:
    """The hub has to reach us; a stand-in, which the operator has named, reaches what it likes."""
    host = urlsplit(url).hostname or ""
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        public = "." in host and not host.endswith((".localhost", ".local", ".internal"))
    if not public and not ctx.settings.get("hub_url"):
        told = f"YouTube's hub delivers only to addresses on the internet, and ours is {url}. The operator has to set "
        raise sdk.Rejected(
            f"{told}AREA_PUBLIC_URL to the address by which this platform is reached.", code="NOT_PUBLIC"
        )


def watched_since(query: Mapping[str, str]) -> int:
    """From which moment on videos are new, in epoch seconds, by a callback's query; 0 when that does not say."""
    return _seconds(query.get(SINCE, "")) or 0


def _seconds(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 12 else None


# What the hub delivers


def entries(raw: bytes) -> Iterator[dict[str, str]]:
    """The entries of an Atom feed, the oldest first; tombstones of deleted videos are none. Raises: Rejected when it is no feed.

    Feeds need no document type, so one that has it, and with it entities that could expand, is refused unread.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise sdk.Rejected(f"The delivery is no Atom feed: {error}.") from None
    if reader.root != FEED:
        raise sdk.Rejected("The delivery is no Atom feed.")
    return reversed(reader.entries)


def _refuse(*_: object) -> None:
    raise ValueError("it has a document type")


class _Reader:
    """Collects what `FIELDS` names."""

    def __init__(self) -> None:
        self.root = ""
        self.entries: list[dict[str, str]] = []
        self._path: list[str] = []

    def start(self, name: str, _attributes: object) -> None:
        self.root = self.root or name
        self._path.append(name)
        if self._path == [FEED, ENTRY]:
            self.entries.append({})

    def end(self, _name: str) -> None:
        self._path.pop()

    def text(self, data: str) -> None:
        if self._path[:2] == [FEED, ENTRY] and (field := FIELDS.get(tuple(self._path[2:5]))):
            self.entries[-1][field] = self.entries[-1].get(field, "") + data
