"""Stripe's own sample objects: the stand-in's have their shape, and payloads made of them are understood.

Stripe's OpenAPI document is not among the specifications, so three things are not checked here: the parameters of requests, the
shape of errors, and what headers say. Its signature vectors are in test_signatures.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from area.nodes.stripe import events
from area.nodes.stripe.provider import identify
from tests.contract.documents import SHARED, SPECS, read
from tests.nodes.stripe_wire import delivery, wired
from tests.providers import stripe_shapes as shapes
from tests.providers.stripe import Stripe

FILE = "stripe/fixtures3.json.gz"
pytestmark = pytest.mark.skipif(
    not (SPECS / FILE).exists(), reason=f"Stripe's sample objects are not there: {SHARED} is missing"
)
BEYOND = {"webhook_endpoint.secret", "event.data.previous_attributes"}
"""What the samples leave out: shown at creation alone, and for updates alone."""
FREE = ("metadata", "event.data.object")
"""Where anything may be."""


@pytest.fixture(scope="module")
def samples() -> dict[str, Any]:
    return dict(read(FILE)["resources"])


def unlike(given: Any, sample: Any, path: str) -> list[str]:
    """Where an object has another shape than the sample: a name that is not there, or another type. A null may be anything."""
    if path.endswith(FREE) or given is None or sample is None:
        return []
    if isinstance(given, dict) and isinstance(sample, dict):
        found = [f"{path}.{name}" for name in given if name not in sample and f"{path}.{name}" not in BEYOND]
        return found + [
            one for name in given if name in sample for one in unlike(given[name], sample[name], f"{path}.{name}")
        ]
    if isinstance(given, list) and isinstance(sample, list):
        return [one for item in given for one in unlike(item, sample[0], f"{path}[]")] if sample else []
    return [] if type(given) is type(sample) else [path]


async def test_the_stand_in_s_objects_are_as_stripe_s(samples: dict[str, Any]) -> None:
    there = Stripe()
    ctx = wired(there)
    await identify(ctx)
    ada = {"email": "a@b.c", "name": "Zoë", "metadata[n]": "é"}
    customer = (await ctx.http.post("/v1/customers", data=ada)).json()
    paid = there.pays(metadata={"order": "7"})
    refund = (await ctx.http.post("/v1/refunds", data={"charge": paid["latest_charge"], "amount": "5"})).json()
    asked = {"url": "https://area.example", "enabled_events[]": ["invoice.paid"]}
    endpoint = (await ctx.http.post("/v1/webhook_endpoints", data=asked)).json()
    gone = (await ctx.http.delete(f"/v1/webhook_endpoints/{endpoint['id']}")).json()
    account, subscription = (await ctx.http.get("/v1/account")).json(), shapes.subscription()
    event = shapes.event(1, "customer.subscription.updated", subscription, {"status": "active"})
    for given in (customer, paid, refund, endpoint, account, subscription, event):
        kind = given["object"]
        assert unlike(given, samples[kind], kind) == []
    assert unlike(gone, samples["deleted_webhook_endpoint"], "deleted_webhook_endpoint") == []
    assert (await ctx.http.get("/v1/refunds")).json().keys() == samples["subscription"]["items"].keys()


def test_another_shape_is_noticed(samples: dict[str, Any]) -> None:
    wrong = {**shapes.customer(1, {}), "balance": "0", "colour": "red"}
    assert sorted(unlike(wrong, samples["customer"], "customer")) == ["customer.balance", "customer.colour"]
    wrong = shapes.subscription()
    wrong["items"]["data"][0]["quantity"] = "1"
    assert unlike(wrong, samples["subscription"], "subscription") == ["subscription.items.data[].quantity"]


def told(samples: dict[str, Any], kind: str, about: str) -> Any:
    """Stripe's sample event, about one of its sample objects."""
    return delivery({**samples["event"], "type": kind, "data": {"object": samples[about]}})


def test_payments_are_understood(samples: dict[str, Any]) -> None:
    paid = samples["payment_intent"]
    found = events.payment_succeeded.fn(events.Payments(), told(samples, events.SUCCEEDED, "payment_intent"))
    assert (found.event_id, found.payment_id, found.amount, found.total) == (
        "evt_1Pgc76B7WZ01zgkWwyRHS12y",
        paid["id"],
        1099,
        "10.99 USD",
    )
    assert (found.at, found.live) == (datetime(2009, 2, 13, 23, 31, 30, tzinfo=UTC), False)
    found = events.payment_failed.fn(events.Payments(), told(samples, events.FAILED, "payment_intent"))
    assert (found.payment_id, found.reason, found.code) == (paid["id"], "", "")


def test_subscriptions_are_understood(samples: dict[str, Any]) -> None:
    for change in events.Change:
        where = events.Subscriptions(changes=[change], customer="cus_QXg1o8vcGmoR32")
        found = events.subscription_changed.fn(
            where, told(samples, f"customer.subscription.{change.value}", "subscription")
        )
        assert found.model_dump(exclude={"event_id", "at", "live", "metadata", "period_end"}) == {
            "customer_id": "cus_QXg1o8vcGmoR32",
            "change": change.value,
            "subscription_id": "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw",
            "status": "active",
            "previous_status": None,
            "changed": [],
            "price_id": "price_1PgafmB7WZ01zgkW6dKueIc5",
            "product_id": "prod_QXg1hqf4jFNsqG",
            "quantity": 1,
            "total": "20.00 USD",
            "interval": "month",
            "ends_with_period": True,
        }
        assert found.period_end == datetime.fromtimestamp(976287773, UTC)
