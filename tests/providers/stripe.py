"""Stripe: an account in test mode, its keys, customers, payments, refunds and endpoints; answers kept by Idempotency-Key."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.responses import JSONResponse, Response

from tests.providers import stripe_shapes as shapes
from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import User
from tests.providers.signing import stripe

KEY = "sk_test_AdasDoorsAll"
RESTRICTED = "rk_test_AdasDoorsSome"
"""May do what our nodes do, and may not read the account."""
WEAK = "rk_test_AdasDoorsNone"
"""May do nothing at all."""
ACCOUNT = "acct_1PgafTB7WZ01zgkW"
ENDPOINTS = 16
ALLOWED = {
    "customers": {"email", "name", "phone", "description", "metadata"},
    "refunds": {"payment_intent", "charge", "amount", "reason", "metadata"},
    "webhook_endpoints": {"url", "enabled_events", "api_version", "description", "disabled"},
}
Make = Callable[[dict[str, Any]], Any]


class Stripe(StandIn):
    """Everything that was made, by id, oldest first."""

    def __init__(self) -> None:
        super().__init__("stripe", users=[User(ACCOUNT, "ada", "Ada's Doors", "ada@example.com")])
        self.keys: dict[str, frozenset[str] | None] = {KEY: None, WEAK: frozenset()}
        self.keys[RESTRICTED] = frozenset({"customers", "payment_intents", "refunds", "webhook_endpoints"})
        self.customers: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        """Of each endpoint."""
        self.kept: dict[str, tuple[str, bytes, Any]] = {}
        """By Idempotency-Key: what was asked, and what was answered."""
        self.events = 100
        made: dict[str, tuple[dict[str, dict[str, Any]], Make | None]] = {
            "customers": (self.customers, self.new_customer),
            "payment_intents": (self.payments, None),
            "refunds": (self.refunds, self.new_refund),
            "webhook_endpoints": (self.endpoints, self.new_endpoint),
        }
        for name, (kept, make) in made.items():
            self.route("GET", f"/v1/{name}", self._listing(kept), scopes=(name,))
            if make:
                self.route("POST", f"/v1/{name}", self._making(name, make), scopes=(name,))
        self.route("GET", "/v1/account", self.account, scopes=("accounts",))
        one = "/v1/webhook_endpoints/{id}"
        for method, handler in (("GET", self.endpoint), ("POST", self.change_endpoint), ("DELETE", self.drop_endpoint)):
            self.route(method, one, handler, scopes=("webhook_endpoints",))

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """By a key, which a restricted one's permissions bind."""
        key = call.headers.get("authorization", "").removeprefix("Bearer ")
        if key not in self.keys:
            return self.refuse(401, "", f"Invalid API Key provided: {key[:8]}****{key[-4:]}")
        may = self.keys[key]
        if may is None or may.issuperset(scopes):
            return None
        told = f"The provided key '{key[:8]}******{key[-6:]}' does not have the required permissions for this endpoint on account"
        return self.refuse(
            403, "", f"{told} '{ACCOUNT}'. Having the 'rak_{scopes[0]}_read' permission would allow this request."
        )

    def refuse(
        self, status: int, code: str, words: str, param: str = "", kind: str = "invalid_request_error"
    ) -> Response:
        """As Stripe does."""
        error = (
            {"type": kind, "message": words} | ({"code": code} if code else {}) | ({"param": param} if param else {})
        )
        return JSONResponse({"error": error}, status)

    async def account(self, call: Call) -> Any:
        owner = self.users[0]
        return shapes.account(owner.id, owner.name, owner.email)

    def new_customer(self, given: dict[str, Any]) -> Any:
        if "email" in given and "@" not in given["email"]:
            return self.refuse(400, "email_invalid", f"Invalid email address: {given['email']}", "email")
        return _keep(self.customers, shapes.customer(len(self.customers) + 1, given))

    def new_refund(self, given: dict[str, Any]) -> Any:
        wanted = given.get("payment_intent") or given.get("charge")
        paid = next((one for one in self.payments.values() if wanted in (one["id"], one["latest_charge"])), None)
        if paid is None:
            name = "payment_intent" if "payment_intent" in given else "charge"
            return self.refuse(404, "resource_missing", f"No such {name}: '{wanted}'", name)
        left = paid["amount_received"] - sum(
            one["amount"] for one in self.refunds.values() if one["payment_intent"] == paid["id"]
        )
        amount = int(given.get("amount", left))
        if not left:
            told = f"Charge {paid['latest_charge']} has already been refunded."
            return self.refuse(400, "charge_already_refunded", told)
        if amount > left:
            told = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            return self.refuse(400, "", told, "amount")
        return _keep(self.refunds, shapes.refund(len(self.refunds) + 1, paid, amount, given))

    def new_endpoint(self, given: dict[str, Any]) -> Any:
        if len(self.endpoints) >= ENDPOINTS:
            return self.refuse(400, "", f"You have reached the maximum of {ENDPOINTS} test webhook endpoints.")
        made = _keep(self.endpoints, shapes.endpoint(len(self.secrets) + 1, given))
        self.secrets[made["id"]] = f"whsec_{len(self.secrets)}abcdefghijklmnopqrstuvwxyz012345"
        return {**made, "secret": self.secrets[made["id"]]}

    async def endpoint(self, call: Call) -> Any:
        return self.endpoints.get(call.parameters["id"]) or self._no_endpoint(call)

    async def change_endpoint(self, call: Call) -> Any:
        found, given = self.endpoints.get(call.parameters["id"]), _nested(call.body)
        if found is None:
            return self._no_endpoint(call)
        if set(given) - (ALLOWED["webhook_endpoints"] - {"api_version"}):
            return self.refuse(400, "parameter_unknown", f"Received unknown parameter in {sorted(given)}")
        if "disabled" in given:
            found["status"] = "disabled" if given.pop("disabled") == "true" else "enabled"
        found |= given
        return found

    async def drop_endpoint(self, call: Call) -> Any:
        found = self.endpoints.pop(call.parameters["id"], None)
        if found is None:
            return self._no_endpoint(call)
        return {"id": found["id"], "object": "webhook_endpoint", "deleted": True}

    def pays(self, **given: Any) -> dict[str, Any]:
        """A new payment, which nobody is told of."""
        return _keep(self.payments, shapes.payment(len(self.payments) + 1, **given))

    async def happens(self, kind: str, about: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
        """A new event, delivered to the endpoints that ask for its type."""
        self.events += 1
        made = shapes.event(self.events, kind, about, before)
        await self.tell(made)
        return made

    async def tell(self, event: dict[str, Any]) -> list[httpx.Response]:
        """Deliver an event, once more where it has been already."""
        headers = {"content-type": "application/json; charset=utf-8"}
        return [
            await self.deliver(one["url"], event, sign=stripe(self.secrets[one["id"]]), headers=headers)
            for one in list(self.endpoints.values())
            if one["status"] == "enabled" and event["type"] in one["enabled_events"]
        ]

    @property
    def hint(self) -> str:
        """The account's keys."""
        return f"Connect the account by its key {KEY}, or by the restricted one, {RESTRICTED}."

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What a person can make happen."""
        error = {
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "message": "Insufficient funds.",
            "type": "card_error",
        }
        failed = shapes.payment(0, status="requires_payment_method", amount_received=0, last_payment_error=error)
        late = shapes.subscription(status="past_due")
        return {
            "A payment succeeds": lambda: self.happens("payment_intent.succeeded", self.pays(description="Order 6735")),
            "A payment fails": lambda: self.happens("payment_intent.payment_failed", failed),
            "A subscription is past due": lambda: self.happens(
                "customer.subscription.updated", late, {"status": "active"}
            ),
        }

    def _no_endpoint(self, call: Call) -> Response:
        wanted = call.parameters["id"]
        return self.refuse(404, "resource_missing", f"No such webhook endpoint: '{wanted}'", "webhook_endpoint")

    def _listing(self, kept: dict[str, dict[str, Any]]) -> Callable[[Call], Awaitable[Any]]:
        async def listing(call: Call) -> Any:
            asked = dict(call.query)
            limit, after = int(asked.pop("limit", "10")), asked.pop("starting_after", None)
            since = int(asked.pop("created[gte]", "0"))
            found = [one for one in reversed(kept.values()) if one["created"] >= since]
            found = [one for one in found if all(one[name] == value for name, value in asked.items())]
            if after:
                found = found[[one["id"] for one in found].index(after) + 1 :]
            page = {"data": found[:limit], "has_more": len(found) > limit}
            return {"object": "list", **page, "url": call.path}

        return listing

    def _making(self, name: str, make: Make) -> Callable[[Call], Awaitable[Any]]:
        async def making(call: Call) -> Any:
            key = call.headers.get("idempotency-key", "")
            if key in self.kept:
                path, body, answer = self.kept[key]
                if (path, body) != (call.path, call.body):
                    told = "Keys for idempotent requests can only be used with the same parameters they were first used with."
                    return self.refuse(400, "", told, kind="idempotency_error")
                return JSONResponse(answer, headers={"Idempotent-Replayed": "true"})
            given = _nested(call.body)
            for unknown in set(given) - ALLOWED[name]:
                return self.refuse(400, "parameter_unknown", f"Received unknown parameter: {unknown}", unknown)
            answer = make(given)
            if key and not isinstance(answer, Response):
                self.kept[key] = (call.path, call.body, answer)
            return answer

        return making


def _nested(body: bytes) -> dict[str, Any]:
    """A form with brackets: ``metadata[order]=7``, ``enabled_events[]=…``."""
    made: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        first, inner = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]*)\])?", name).groups()  # type: ignore[union-attr]
        if inner is None:
            made[first] = value
        elif inner:
            made.setdefault(first, {})[inner] = value
        else:
            made.setdefault(first, []).append(value)
    return made


def _keep(kept: dict[str, dict[str, Any]], made: dict[str, Any]) -> dict[str, Any]:
    kept[made["id"]] = made
    return made


def make() -> StandIn:
    """With nothing paid."""
    return Stripe()
