"""What happens in an account: payments that succeed or fail, subscriptions that change. Stripe keeps no order of events.

https://docs.stripe.com/api/events/types, https://docs.stripe.com/api/payment_intents/object and
https://docs.stripe.com/api/subscriptions/object
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from area.nodes import sdk
from area.nodes._payloads import number, within
from area.nodes.stripe.hooks import watched
from area.nodes.stripe.money import Customer, moment, shown
from area.nodes.stripe.provider import id_of, text

SUCCEEDED, FAILED = "payment_intent.succeeded", "payment_intent.payment_failed"
SUBSCRIPTION = "customer.subscription."
CUSTOMER_ID = r"^cus_[A-Za-z0-9]{1,100}$"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Change(StrEnum):
    """What may become of a subscription: the last part of its event's type."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    PAUSED = "paused"
    RESUMED = "resumed"
    TRIAL_WILL_END = "trial_will_end"


class _Data(BaseModel):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class _Event(BaseModel):
    """What every delivery is; one that is something else is refused."""

    id: str = Field(min_length=1, max_length=255)
    type: str
    created: int = Field(gt=0, lt=10**11)
    livemode: bool
    data: _Data


def of_customer() -> Any:
    """The input that every action has."""
    return Field(
        None,
        title="Customer",
        description="Only this one's; empty for everybody's.",
        pattern=CUSTOMER_ID,
        examples=["cus_QXg1o8vcGmoR32"],
    )


class Payments(sdk.Inputs):
    """Which payments."""

    customer: Customer = of_customer()
    currency: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Currency",
        description="Only payments in this one, by its three letters; empty for all.",
        pattern=r"^[A-Za-z]{3}$",
        examples=["usd"],
    )


class Subscriptions(sdk.Inputs):
    """Which subscriptions, and what shall have become of them."""

    customer: Customer = of_customer()
    changes: Annotated[list[Change], sdk.NoTemplate] = Field(
        [Change.CREATED, Change.UPDATED, Change.DELETED],
        title="When it is",
        description="Which changes fire; updated is also each renewal, deleted is when it has ended.",
        min_length=1,
        max_length=len(Change),
        examples=[["updated", "deleted"]],
    )


class Happened(sdk.Outputs):
    """What every event tells."""

    event_id: Annotated[str, sdk.Identity] = Field(
        title="Event id",
        description="Stripe's, the same in each delivery of it.",
        examples=["evt_1Pgc76B7WZ01zgkWwyRHS12y"],
    )
    at: datetime = Field(title="When", description="When it happened, in UTC.", examples=[NOON])
    live: bool = Field(title="Live", description="False in test mode.", examples=[True])
    customer_id: str | None = Field(
        title="Customer id", description="Whose it is; empty for a guest's.", examples=["cus_QXg1o8vcGmoR32"]
    )
    metadata: dict[str, str] = Field(
        title="Metadata", description="What your shop has noted on it, by name.", examples=[{"order_id": "6735"}]
    )


class Payment(Happened):
    """A payment."""

    payment_id: str = Field(
        title="Payment id", description="To refund it, for one.", examples=["pi_1PgafyB7WZ01zgkWSjxsAJo3"]
    )
    charge_id: str | None = Field(
        title="Charge id", description="Of its last charge.", examples=["ch_1PgafuB7WZ01zgkWXYmPNZs8"]
    )
    amount: int = Field(title="Amount", description="In the currency's smallest unit, such as cents.", examples=[1099])
    currency: str = Field(title="Currency", description="Its three letters, small.", examples=["usd"])
    total: str = Field(title="Total", description="The amount as people write it.", examples=["10.99 USD"])
    description: str = Field(title="Description", description="What it is for; may be empty.", examples=["Order 6735"])
    email: str = Field(
        title="Email", description="Where the receipt goes; may be empty.", examples=["jenny.rosen@example.com"]
    )


class FailedPayment(Payment):
    """A payment that failed."""

    reason: str = Field(
        title="Reason", description="In Stripe's words; may be empty.", examples=["Your card has insufficient funds."]
    )
    code: str = Field(
        title="Code", description="Stripe's code of the reason; may be empty.", examples=["card_declined"]
    )
    decline_code: str = Field(
        title="Decline code", description="The bank's code of it; may be empty.", examples=["insufficient_funds"]
    )


class Subscription(Happened):
    """A subscription after the change; price and amount are those of its first item."""

    change: str = Field(title="What happened", description="In Stripe's word.", examples=["updated"])
    subscription_id: str = Field(
        title="Subscription id", description="Stripe's.", examples=["sub_1Pgc6rB7WZ01zgkWNy0Cn5nw"]
    )
    status: str = Field(title="Status", description="As active, trialing, past_due or canceled.", examples=["past_due"])
    previous_status: str | None = Field(
        title="Status before", description="Empty when it is the same.", examples=["active"]
    )
    changed: list[str] = Field(
        title="Changed", description="Stripe's names of what an update has changed.", examples=[["status"]]
    )
    price_id: str | None = Field(title="Price id", description="Stripe's.", examples=["price_1PgafmB7WZ01zgkW6dKueIc5"])
    product_id: str | None = Field(title="Product id", description="Stripe's.", examples=["prod_QXg1hqf4jFNsqG"])
    quantity: int = Field(title="Quantity", description="How many of it.", examples=[1])
    total: str = Field(
        title="Price", description="Of one, as people write it; empty where it depends on use.", examples=["20.00 USD"]
    )
    interval: str = Field(title="Paid every", description="As day, month, year or 3 months.", examples=["month"])
    ends_with_period: bool = Field(
        title="Ends with the period", description="Whether it is cancelled and runs out.", examples=[False]
    )
    period_end: datetime | None = Field(
        title="Period's end", description="Until when it is paid, in UTC.", examples=[NOON]
    )


def _of_payment(delivery: sdk.WebhookDelivery) -> str:
    """A payment succeeds once, however many events say so."""
    return f"{SUCCEEDED}:{text(delivery.body, 'data', 'object', 'id')}"


@watched("Payment succeeded", lambda where: [SUCCEEDED], dedupe=_of_payment)
def payment_succeeded(where: Payments, delivery: sdk.WebhookDelivery) -> Payment | None:
    """Fires when a payment has succeeded."""
    event = _event(delivery, "payment_intent", SUCCEEDED)
    if event is None or not _is_wanted(where, event.data.object):
        return None
    return Payment(**_payment(event))


@watched("Payment failed", lambda where: [FAILED])
def payment_failed(where: Payments, delivery: sdk.WebhookDelivery) -> FailedPayment | None:
    """Fires when an attempt to pay has failed; the payer may try again, which is another event."""
    event = _event(delivery, "payment_intent", FAILED)
    if event is None or not _is_wanted(where, event.data.object):
        return None
    error = event.data.object.get("last_payment_error")
    return FailedPayment(
        **_payment(event),
        reason=text(error, "message"),
        code=text(error, "code"),
        decline_code=text(error, "decline_code"),
    )


@watched("Subscription changed", lambda where: [f"{SUBSCRIPTION}{Change(change)}" for change in where.changes])
def subscription_changed(where: Subscriptions, delivery: sdk.WebhookDelivery) -> Subscription | None:
    """Fires when a subscription begins, changes, renews, or ends, as it is chosen."""
    event = _event(delivery, "subscription", *(f"{SUBSCRIPTION}{Change(change)}" for change in where.changes))
    if event is None or not _is_of(where, event.data.object):
        return None
    found, before = event.data.object, event.data.previous_attributes or {}
    items = within(found, "items", "data")
    first = items[0] if isinstance(items, list) and items else {}
    price = within(first, "price")
    amount, currency = within(price, "unit_amount"), text(price, "currency") or text(found, "currency")
    return Subscription(
        **_common(event),
        change=event.type.removeprefix(SUBSCRIPTION),
        subscription_id=text(found, "id"),
        status=text(found, "status"),
        previous_status=text(before, "status") or None,
        changed=sorted(before),
        price_id=id_of(price, "id"),
        product_id=id_of(price, "product"),
        quantity=number(first, "quantity"),
        total=shown(amount, currency) if isinstance(amount, int) else "",
        interval=_interval(price),
        ends_with_period=found.get("cancel_at_period_end") is True,
        period_end=moment(first, "current_period_end"),
    )


def _interval(price: Any) -> str:
    unit, count = text(price, "recurring", "interval"), number(price, "recurring", "interval_count")
    return f"{count} {unit}s" if unit and count > 1 else unit


def _event(delivery: sdk.WebhookDelivery, kind: str, *types: str) -> _Event | None:
    """The event, when it is of one of these types and about such an object. Raises: ValidationError for what is no event."""
    event = _Event.model_validate(delivery.body)
    about = event.data.object
    return event if event.type in types and about.get("object") == kind and text(about, "id") else None


def _is_of(where: Payments | Subscriptions, found: dict[str, Any]) -> bool:
    return not where.customer or id_of(found, "customer") == where.customer


def _is_wanted(where: Payments, found: dict[str, Any]) -> bool:
    return _is_of(where, found) and (not where.currency or text(found, "currency") == where.currency.lower())


def _common(event: _Event) -> dict[str, Any]:
    metadata = event.data.object.get("metadata")
    return {
        "event_id": event.id,
        "at": datetime.fromtimestamp(event.created, UTC),
        "live": event.livemode,
        "customer_id": id_of(event.data.object, "customer"),
        "metadata": {name: str(value) for name, value in metadata.items()} if isinstance(metadata, dict) else {},
    }


def _payment(event: _Event) -> dict[str, Any]:
    found = event.data.object
    # What was received may be less than what was asked for, where it was captured in part.
    amount = number(found, "amount_received") if event.type == SUCCEEDED else 0
    amount, currency = amount or number(found, "amount"), text(found, "currency")
    return {
        **_common(event),
        "payment_id": found["id"],
        "charge_id": id_of(found, "latest_charge"),
        "amount": amount,
        "currency": currency,
        "total": shown(amount, currency),
        "description": text(found, "description"),
        "email": text(found, "receipt_email"),
    }
