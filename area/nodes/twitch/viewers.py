"""What viewers do in one's own channel: each kind with the one scope that Twitch wants for it.

https://dev.twitch.tv/docs/eventsub/eventsub-subscription-types/
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.twitch import eventsub
from area.nodes.twitch.provider import data, service
from area.nodes.twitch.streams import OfChannel, of_channel

ANONYMOUS = "Anonymous"


class OwnChannel(sdk.Inputs):
    """The account's own channel: there is nothing to choose."""


async def reward_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The channel's own rewards; Twitch allows fifty."""
    asked = {"broadcaster_id": ctx.account.external_id}
    found = data(await ctx.http.get("/channel_points/custom_rewards", params=asked), "id", "title")
    return [sdk.Choice(reward["id"], f"{reward['title']} ({reward.get('cost')} points)") for reward in found]


class RewardWhere(sdk.Inputs):
    """Which reward."""

    reward: Annotated[str | None, sdk.NoTemplate, sdk.Choices(reward_choices)] = Field(
        None,
        title="Reward",
        description="The id of one reward of your channel; empty for any.",
        pattern=r"^[0-9A-Za-z-]{1,64}$",
        examples=["92af127c-7326-4483-a52b-b0da0be61c01"],
    )


class Viewer(sdk.Outputs):
    """Who did it."""

    user_id: str | None = Field(None, title="User's id", description="None for an anonymous one.", examples=["1234"])
    user_login: str | None = Field(
        None,
        title="User's login",
        description="As in their address; none for an anonymous one.",
        examples=["cool_user"],
    )
    user_name: str = Field(title="User's name", description="As it is shown on Twitch.", examples=["Cool_User"])


class Tiered(sdk.Outputs):
    """How much a subscription costs."""

    tier: str = Field(title="Tier", description="1000, 2000 or 3000, as Twitch writes it.", examples=["1000"])
    tier_name: str = Field(title="Tier's name", description="The same in words.", examples=["Tier 1"])


class Follower(OfChannel, Viewer):
    """Somebody who follows the channel now."""

    followed_at: datetime = Field(title="Followed at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])


class Subscriber(OfChannel, Viewer, Tiered):
    """Somebody who has subscribed."""

    is_gift: bool = Field(title="Is a gift", description="Whether somebody else pays.", examples=[False])


class Gift(OfChannel, Viewer, Tiered):
    """Subscriptions for others."""

    total: int = Field(title="How many", description="Subscriptions given just now.", examples=[5])
    cumulative_total: int | None = Field(
        None,
        title="How many ever",
        description="Given by this user in this channel so far; none if that is not shared.",
        examples=[42],
    )
    is_anonymous: bool = Field(title="Is anonymous", description="Whether the giver is hidden.", examples=[False])


class Resubscriber(OfChannel, Viewer, Tiered):
    """Somebody who told the chat of a subscription that goes on."""

    message: str = Field("", title="Message", description="What they wrote.", examples=["Love the stream!"])
    cumulative_months: int = Field(title="Months", description="Subscribed in all.", examples=[15])
    streak_months: int | None = Field(
        None, title="Months in a row", description="None if that is not shared.", examples=[3]
    )
    duration_months: int = Field(1, title="Duration", description="Months of this subscription.", examples=[1])


class Cheered(OfChannel, Viewer):
    """Bits for the channel."""

    bits: int = Field(title="Bits", description="How many.", examples=[1000])
    message: str = Field("", title="Message", description="What was written with them.", examples=["pogchamp"])
    is_anonymous: bool = Field(title="Is anonymous", description="Whether the giver is hidden.", examples=[False])


class Redeemed(OfChannel, Viewer):
    """A reward that a viewer took for channel points."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Redemption's id", description="Names it.", examples=["17fa2df1-ad76-4804-bfa5-a40ef63efe63"]
    )
    reward_id: str = Field(
        title="Reward's id", description="Which reward.", examples=["92af127c-7326-4483-a52b-b0da0be61c01"]
    )
    reward_title: str = Field(title="Reward", description="Its title.", examples=["Hydrate!"])
    reward_cost: int = Field(title="Cost", description="In channel points.", examples=[100])
    reward_prompt: str = Field("", title="Prompt", description="What viewers are told.", examples=["Make me drink"])
    user_input: str = Field("", title="User's input", description="What the viewer wrote.", examples=["now, please"])
    status: str = Field(
        title="Status", description="unfulfilled, fulfilled, canceled or unknown.", examples=["unfulfilled"]
    )
    redeemed_at: datetime = Field(title="Redeemed at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])


def _viewer(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Viewer`; all are null for somebody who stays anonymous."""
    name = event.get("user_name") or event.get("user_login") or ANONYMOUS
    return {"user_id": event.get("user_id"), "user_login": event.get("user_login"), "user_name": name}


def _tier(event: Mapping[str, Any]) -> dict[str, Any]:
    tier = event.get("tier")
    names = {"1000": "Tier 1", "2000": "Tier 2", "3000": "Tier 3"}
    return {"tier": tier, "tier_name": names.get(str(tier), str(tier))}


@service.webhook("New follower", app_level=True, dedupe=eventsub.ID, scopes=("moderator:read:followers",))
def new_follower(where: OwnChannel, delivery: sdk.WebhookDelivery) -> Follower | None:
    """Fires when somebody follows your channel."""
    event = eventsub.event_of(delivery)
    return eventsub.read(Follower, **of_channel(event), **_viewer(event), followed_at=event.get("followed_at"))


@service.webhook("New subscription", app_level=True, dedupe=eventsub.ID, scopes=("channel:read:subscriptions",))
def new_subscription(where: OwnChannel, delivery: sdk.WebhookDelivery) -> Subscriber | None:
    """Fires when somebody subscribes to your channel, or is given a subscription; not when one goes on."""
    event = eventsub.event_of(delivery)
    return eventsub.read(
        Subscriber, **of_channel(event), **_viewer(event), **_tier(event), is_gift=event.get("is_gift", False)
    )


@service.webhook("Subscriptions gifted", app_level=True, dedupe=eventsub.ID, scopes=("channel:read:subscriptions",))
def subscription_gift(where: OwnChannel, delivery: sdk.WebhookDelivery) -> Gift | None:
    """Fires once when somebody gives subscriptions to others in your channel, however many."""
    event = eventsub.event_of(delivery)
    return eventsub.read(
        Gift,
        **of_channel(event),
        **_viewer(event),
        **_tier(event),
        total=event.get("total"),
        cumulative_total=event.get("cumulative_total"),
        is_anonymous=event.get("is_anonymous", False),
    )


@service.webhook("Resubscription", app_level=True, dedupe=eventsub.ID, scopes=("channel:read:subscriptions",))
def resubscription(where: OwnChannel, delivery: sdk.WebhookDelivery) -> Resubscriber | None:
    """Fires when a subscriber tells your chat that the subscription goes on."""
    event = eventsub.event_of(delivery)
    message = event.get("message")
    return eventsub.read(
        Resubscriber,
        **of_channel(event),
        **_viewer(event),
        **_tier(event),
        message=(message.get("text") or "") if isinstance(message, dict) else "",
        cumulative_months=event.get("cumulative_months"),
        streak_months=event.get("streak_months"),
        duration_months=event.get("duration_months") or 1,
    )


@service.webhook("Cheer", app_level=True, dedupe=eventsub.ID, scopes=("bits:read",))
def cheer(where: OwnChannel, delivery: sdk.WebhookDelivery) -> Cheered | None:
    """Fires when somebody cheers with Bits in your channel."""
    event = eventsub.event_of(delivery)
    return eventsub.read(
        Cheered,
        **of_channel(event),
        **_viewer(event),
        bits=event.get("bits"),
        message=event.get("message") or "",
        is_anonymous=event.get("is_anonymous", False),
    )


@service.webhook("Reward redeemed", app_level=True, dedupe=eventsub.ID, scopes=("channel:read:redemptions",))
def reward_redeemed(where: RewardWhere, delivery: sdk.WebhookDelivery) -> Redeemed | None:
    """Fires when a viewer takes a reward of your channel for channel points."""
    event = eventsub.event_of(delivery)
    given = event.get("reward")
    reward = given if isinstance(given, dict) else {}
    if where.reward and where.reward != reward.get("id"):
        return None
    return eventsub.read(
        Redeemed,
        **of_channel(event),
        **_viewer(event),
        id=event.get("id"),
        reward_id=reward.get("id"),
        reward_title=reward.get("title"),
        reward_cost=reward.get("cost"),
        reward_prompt=reward.get("prompt") or "",
        user_input=event.get("user_input") or "",
        status=event.get("status"),
        redeemed_at=event.get("redeemed_at"),
    )


def _moderated(where: OwnChannel, own: str, watched: str) -> Mapping[str, str]:
    return {"broadcaster_user_id": watched, "moderator_user_id": own}


eventsub.listen(new_follower, "channel.follow", "2", _moderated)
eventsub.listen(new_subscription, "channel.subscribe")
eventsub.listen(subscription_gift, "channel.subscription.gift")
eventsub.listen(resubscription, "channel.subscription.message")
eventsub.listen(cheer, "channel.cheer")
eventsub.listen(reward_redeemed, "channel.channel_points_custom_reward_redemption.add")
