"""EventSub of the stand-in for Twitch: subscriptions that are verified, and signed messages about them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from starlette.responses import Response

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, Grant, User
from tests.providers.signing import twitch as signed

CONSENT = {
    "channel.follow": "moderator:read:followers",
    "channel.subscribe": "channel:read:subscriptions",
    "channel.subscription.gift": "channel:read:subscriptions",
    "channel.subscription.message": "channel:read:subscriptions",
    "channel.cheer": "bits:read",
    "channel.channel_points_custom_reward_redemption.add": "channel:read:redemptions",
}
"""Types of events that the broadcaster has to have allowed."""
LIVE = ("enabled", "webhook_callback_verification_pending")
PAGE = 100


def stamp() -> str:
    """A time as Twitch writes it, with nanoseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z"


class EventSub(StandIn):
    """Twitch as a sender of events."""

    base_path = "/helix"

    def __init__(self, dialect: Dialect, users: list[User]) -> None:
        super().__init__("twitch", dialect, users=users)
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        """Where an origin of callbacks really is, as a resolver of names would say."""
        self._verifying: set[asyncio.Task[None]] = set()
        path = f"{self.base_path}/eventsub/subscriptions"
        self.route("POST", path, self._post_subscription, auth="app")
        self.route("GET", path, self._get_subscriptions, auth="app")
        self.route("DELETE", path, self._delete_subscription, auth="app")

    async def tell(
        self, kind: str, concerns: Mapping[str, Any], event: Mapping[str, Any], *, message_id: str | None = None
    ) -> list[httpx.Response]:
        """Deliver an event to every live subscription of its type whose condition ``concerns`` fits; gives the answers."""
        answers = []
        for found in list(self.subscriptions.values()):
            wanted = {key: value for key, value in found["condition"].items() if value and key != "moderator_user_id"}
            if found["type"] == kind and found["status"] == "enabled" and wanted.items() <= dict(concerns).items():
                answers.append(await self.send(found, "notification", {"event": dict(event)}, message_id=message_id))
        return answers

    async def revoke(self, subscription_id: str, status: str) -> None:
        """Twitch ends a subscription, and says why."""
        found = self.subscriptions[subscription_id]
        found["status"] = status
        await self.send(found, "revocation", {})

    async def send(
        self, found: Mapping[str, Any], kind: str, more: Mapping[str, Any], *, message_id: str | None = None, **how: Any
    ) -> httpx.Response:
        """One signed message about a subscription; ``how`` is for `deliver`."""
        callback = urlsplit(found["transport"]["callback"])
        origin = f"{callback.scheme}://{callback.netloc}"
        return await self.deliver(
            self.addresses.get(origin, origin) + callback.path,
            {"subscription": dict(found), **more},
            sign=signed(self.secrets[found["id"]], kind, message_id=message_id),
            headers={
                "Twitch-Eventsub-Subscription-Type": found["type"],
                "Twitch-Eventsub-Subscription-Version": found["version"],
            },
            **how,
        )

    async def verified(self) -> None:
        """Wait until every new subscription has been verified, or has failed to be."""
        while self._verifying:
            await asyncio.gather(*self._verifying)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The live subscriptions of a type."""
        return [one for one in self.subscriptions.values() if one["type"] == kind and one["status"] in LIVE]

    async def _post_subscription(self, call: Call) -> Any:
        asked, transport = call.json, call.json["transport"]
        if not 10 <= len(transport["secret"]) <= 100 or not asked["condition"]:
            return self._bad("condition or secret")
        users = [value for key, value in asked["condition"].items() if key.endswith("user_id")]
        if any(user not in [one.id for one in self.users] for user in users):
            return self._bad("condition")
        if asked["type"] in CONSENT and not self._allowed(users[0], CONSENT[asked["type"]]):
            return self.refuse(403, "", "subscription missing proper authorization")
        if any(
            (one["type"], one["condition"]) == (asked["type"], asked["condition"])
            for one in self.subscriptions.values()
        ):
            return self.refuse(409, "", "subscription already exists")
        made = {
            **{name: asked[name] for name in ("type", "version", "condition")},
            "id": str(uuid4()),
            "status": "webhook_callback_verification_pending",
            "transport": {"method": "webhook", "callback": transport["callback"]},
            "created_at": stamp(),
            "cost": 0 if asked["type"] in CONSENT else 1,
        }
        self.subscriptions[made["id"]], self.secrets[made["id"]] = made, transport["secret"]
        answer = self._listed([dict(made)])
        task = asyncio.create_task(self._verify(made))
        self._verifying.add(task)
        task.add_done_callback(self._verifying.discard)
        return 202, answer

    async def _verify(self, made: dict[str, Any]) -> None:
        challenge = f"pogchamp-kappa-{uuid4()}"
        try:
            got = await self.send(made, "webhook_callback_verification", {"challenge": challenge}, answer=challenge)
            good = got.headers.get("content-type", "").partition(";")[0] == "text/plain"
        except (AssertionError, OSError, httpx.HTTPError):
            good = False
        made["status"] = "enabled" if good else "webhook_callback_verification_failed"

    async def _get_subscriptions(self, call: Call) -> Any:
        filters = [name for name in ("status", "type", "user_id", "subscription_id") if name in call.query]
        if len(filters) > 1:
            return self._bad("filter: give one at a time")
        found = [one for one in self.subscriptions.values() if not filters or self._fits(one, filters[0], call.query)]
        start = int(call.query.get("after", "0"))
        more = {"cursor": str(start + PAGE)} if len(found) > start + PAGE else {}
        return {**self._listed(found[start : start + PAGE]), "pagination": more}

    async def _delete_subscription(self, call: Call) -> Any:
        if self.subscriptions.pop(call.query["id"], None) is None:
            return self.refuse(404, "", "subscription not found")
        return None

    def _fits(self, one: Mapping[str, Any], name: str, query: Mapping[str, str]) -> bool:
        if name == "user_id":
            return query[name] in one["condition"].values()
        return bool(one["id" if name == "subscription_id" else name] == query[name])

    def _listed(self, found: list[dict[str, Any]]) -> dict[str, Any]:
        cost = sum(one["cost"] for one in self.subscriptions.values())
        return {"data": found, "total": len(self.subscriptions), "total_cost": cost, "max_total_cost": 10000}

    def _allowed(self, user_id: str, scope: str) -> bool:
        def counts(grant: Grant) -> bool:
            return grant.user is not None and grant.user.id == user_id and scope in grant.scopes and not grant.withdrawn

        return any(counts(grant) for grant in self.auth.grants)

    def _is_of(self, one: Mapping[str, Any], user: User) -> bool:
        return user.id in one["condition"].values()

    def _bad(self, what: str) -> Response:
        return self.refuse(400, "", f"The parameter {what} was malformed")
