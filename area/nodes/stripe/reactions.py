"""What is done in an account, once however often it is tried.

Stripe answers a repeated Idempotency-Key with the first answer, for a day at least; after that, what an earlier attempt made is
looked for by the mark that everything made here carries in its metadata.

https://docs.stripe.com/api/idempotent_requests, https://docs.stripe.com/api/customers/create, https://docs.stripe.com/api/refunds/create
and https://docs.stripe.com/api/metadata
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes._payloads import number, within
from area.nodes.stripe.money import moment, payment_choices, shown
from area.nodes.stripe.provider import id_of, listed, post, service, text

MARK = "area_step"
"""The name in the metadata under which a step of a run is kept."""
KEY_LIVES = timedelta(hours=23)
"""Within which Stripe surely knows a key: it says 24 hours."""
SKEW = timedelta(minutes=5)
"""How far Stripe's clock and ours may be apart."""
PAGES = 5
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

Metadata = dict[
    Annotated[str, Field(pattern=r"^[^\[\]]{1,40}$")],
    Annotated[str, Field(max_length=500)],
]


class Reason(StrEnum):
    """Why money is given back."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    REQUESTED_BY_CUSTOMER = "requested_by_customer"


def metadata_field() -> Any:
    """The input that every reaction has; one of Stripe's 50 names is our mark."""
    return Field(
        default_factory=dict,
        title="Metadata",
        description="Notes on it, by name: up to 40 characters without [ and ], and 500 in a value. AREA adds area_step, its own.",
        max_length=49,
        examples=[{"order_id": "{{ trigger.metadata.order_id }}"}],
        json_schema_extra={"widget": "keyvalue"},
    )


class NewCustomer(sdk.Inputs):
    """Who it is."""

    email: str = Field(
        "",
        title="Email",
        description="May be empty where there is a name.",
        max_length=512,
        examples=["ada@example.com"],
    )
    name: str = Field(
        "", title="Name", description="Of a person or a business.", max_length=256, examples=["Ada Lovelace"]
    )
    phone: str = Field("", title="Phone", description="May be empty.", max_length=20, examples=["+15555551234"])
    description: str = Field(
        "",
        title="Description",
        description="For your own eyes.",
        max_length=350,
        examples=["Met at {{ trigger.place }}"],
    )
    metadata: Metadata = metadata_field()


class NewRefund(sdk.Inputs):
    """What is given back."""

    payment: Annotated[str, sdk.Choices(payment_choices)] = Field(
        title="Payment",
        description="Its id, as {{ trigger.payment_id }}, or a charge's.",
        pattern=r"^(pi|ch|py)_[A-Za-z0-9_]{1,200}$",
        examples=["pi_1PgafyB7WZ01zgkWSjxsAJo3"],
    )
    amount: int | None = Field(
        None,
        title="Amount",
        description="In the currency's smallest unit, such as cents; left out, all that is left of it.",
        ge=1,
        le=999_999_999_999,
        examples=[500],
    )
    reason: Reason | None = Field(
        None,
        title="Reason",
        description="With fraudulent, Stripe blocks the card and the email from now on.",
        examples=["requested_by_customer"],
    )
    metadata: Metadata = metadata_field()

    @field_validator("amount", mode="before")
    @classmethod
    def _is_not_lost(cls, amount: Any) -> Any:
        # A template whose value is not there must not give everything back.
        if amount is None:
            raise ValueError("is empty: give an amount, or leave it out to give back all")
        return amount


class Customer(sdk.Outputs):
    """The customer."""

    customer_id: str = Field(title="Customer id", description="Stripe's.", examples=["cus_QXg1o8vcGmoR32"])
    email: str = Field(title="Email", description="May be empty.", examples=["ada@example.com"])
    name: str = Field(title="Name", description="May be empty.", examples=["Ada Lovelace"])
    live: bool = Field(title="Live", description="False in test mode.", examples=[True])
    created_at: datetime | None = Field(title="Created at", description="In UTC.", examples=[NOON])


class Refund(sdk.Outputs):
    """The refund."""

    refund_id: str = Field(title="Refund id", description="Stripe's.", examples=["re_1Pgc72B7WZ01zgkWqPvrRrPE"])
    status: str = Field(
        title="Status", description="As succeeded, or pending while the bank works on it.", examples=["succeeded"]
    )
    amount: int = Field(title="Amount", description="In the currency's smallest unit, such as cents.", examples=[500])
    currency: str = Field(title="Currency", description="Its three letters, small.", examples=["usd"])
    total: str = Field(title="Total", description="The amount as people write it.", examples=["5.00 USD"])
    payment_id: str | None = Field(
        title="Payment id", description="Whose it was.", examples=["pi_1PgafyB7WZ01zgkWSjxsAJo3"]
    )
    charge_id: str | None = Field(
        title="Charge id", description="Whose it was.", examples=["ch_1PgafuB7WZ01zgkWXYmPNZs8"]
    )
    created_at: datetime | None = Field(title="Created at", description="In UTC.", examples=[NOON])


@service.reaction("Create a customer", idempotent=True)
async def create_customer(ctx: sdk.Context, given: NewCustomer) -> Customer:
    """Adds a customer. Stripe allows several with the same email."""
    asked = {"email": given.email, "name": given.name, "phone": given.phone, "description": given.description}
    if not any(asked.values()):
        raise sdk.Rejected("The customer has neither email nor name: fill in one of them.", code="EMPTY", field="email")
    made = await _earlier_customer(ctx, given) if _is_late(ctx) else None
    return _customer(made or await post(ctx, "/v1/customers", {**asked, **_noted(ctx, given)}, "customer"))


@create_customer.reconcile
async def find_customer(ctx: sdk.Context, given: NewCustomer) -> Customer | None:
    """The customer that an earlier attempt made."""
    found = await _earlier_customer(ctx, given)
    return _customer(found) if found else None


@service.reaction("Refund a payment", idempotent=True)
async def refund(ctx: sdk.Context, given: NewRefund) -> Refund:
    """Gives the money of a payment back, all of it or a part."""
    asked = {**_paid(given), "amount": given.amount, "reason": given.reason and Reason(given.reason).value}
    made = await _earlier_refund(ctx, given) if _is_late(ctx) else None
    return _refund(made or await post(ctx, "/v1/refunds", {**asked, **_noted(ctx, given)}, "refund"))


@refund.reconcile
async def find_refund(ctx: sdk.Context, given: NewRefund) -> Refund | None:
    """The refund that an earlier attempt made. Raises: Rejected when Stripe could not carry it out."""
    found = await _earlier_refund(ctx, given)
    return _refund(found) if found else None


def _noted(ctx: sdk.Context, given: NewCustomer | NewRefund) -> dict[str, Any]:
    return {"metadata": {**given.metadata, MARK: ctx.idempotency_key}}


def _paid(given: NewRefund) -> dict[str, str]:
    return {"payment_intent" if given.payment.startswith("pi_") else "charge": given.payment}


def _is_late(ctx: sdk.Context) -> bool:
    """Whether there was an attempt so long ago that Stripe may have forgotten its key."""
    return ctx.tried_since is not None and ctx.now() - ctx.tried_since > KEY_LIVES


async def _earlier_customer(ctx: sdk.Context, given: NewCustomer) -> dict[str, Any] | None:
    since = int(((ctx.tried_since or ctx.now()) - SKEW).timestamp())
    return await _marked(ctx, "/v1/customers", "customer", {"email": given.email, "created": {"gte": since}})


async def _earlier_refund(ctx: sdk.Context, given: NewRefund) -> dict[str, Any] | None:
    return await _marked(ctx, "/v1/refunds", "refund", _paid(given))


async def _marked(ctx: sdk.Context, path: str, kind: str, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What carries this step's mark. Raises: Unknown when the list is too long to say that nothing does."""
    found, is_whole = await listed(ctx, path, kind, pages=PAGES, **asked)
    for one in found:
        if within(one, "metadata", MARK) == ctx.idempotency_key:
            ctx.log(f"An earlier attempt had made it, as {one['id']}")
            return one
    if not is_whole:
        raise sdk.Unknown(f"An earlier attempt may have made this {kind}: look in Stripe's dashboard.")
    return None


def _customer(found: dict[str, Any]) -> Customer:
    return Customer(
        customer_id=found["id"],
        email=text(found, "email"),
        name=text(found, "name"),
        live=found.get("livemode") is True,
        created_at=moment(found, "created"),
    )


def _refund(found: dict[str, Any]) -> Refund:
    status = text(found, "status")
    if status in ("failed", "canceled"):
        why = text(found, "failure_reason") or status
        raise sdk.Rejected(
            f"Stripe made the refund {found['id']}, and it did not go through: {why}.", code="REFUND_FAILED"
        )
    amount, currency = number(found, "amount"), text(found, "currency")
    return Refund(
        refund_id=found["id"],
        status=status,
        amount=amount,
        currency=currency,
        total=shown(amount, currency),
        payment_id=id_of(found, "payment_intent"),
        charge_id=id_of(found, "charge"),
        created_at=moment(found, "created"),
    )
