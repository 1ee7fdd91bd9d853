"""Amounts, which Stripe counts in a currency's smallest unit, and what there is to choose from.

https://docs.stripe.com/currencies, https://docs.stripe.com/api/customers/list and https://docs.stripe.com/api/payment_intents/list
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from area.nodes import sdk
from area.nodes._payloads import number
from area.nodes.stripe.provider import listed, text

WHOLE = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
"""Currencies without a smaller unit. UGX and ISK have none either, and Stripe still counts them in hundredths."""
THOUSANDTHS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])


def shown(amount: int, currency: str) -> str:
    """An amount as people write it: ``10.99 USD`` of 1099, ``1099 JPY`` of 1099."""
    code = currency.upper()
    digits = 0 if code in WHOLE else 3 if code in THOUSANDTHS else 2
    return f"{Decimal(amount).scaleb(-digits):.{digits}f} {code}".rstrip()


def moment(body: Any, *names: str) -> datetime | None:
    """The epoch seconds there as a time in UTC; None where there are none, or none that can be a time."""
    found = number(body, *names)
    return datetime.fromtimestamp(found, UTC) if 0 < found < 1e11 else None


async def customer_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The newest customers."""
    found, _ = await listed(ctx, "/v1/customers", "customer")
    return [sdk.Choice(item["id"], _named(item)) for item in found]


async def payment_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The newest payments that succeeded."""
    found, _ = await listed(ctx, "/v1/payment_intents", "payment_intent")
    return [sdk.Choice(item["id"], _described(item)) for item in found if item.get("status") == "succeeded"]


def _named(customer: dict[str, Any]) -> str:
    name, email = text(customer, "name"), text(customer, "email")
    return f"{name} ({email})" if name and email else name or email or str(customer["id"])


def _described(payment: dict[str, Any]) -> str:
    made = moment(payment, "created")
    parts = [
        shown(number(payment, "amount_received") or number(payment, "amount"), text(payment, "currency")),
        text(payment, "description") or text(payment, "receipt_email"),
        made.date().isoformat() if made else "",
    ]
    return ", ".join(part for part in parts if part)


Customer = Annotated[str | None, sdk.NoTemplate, sdk.Choices(customer_choices)]
"""The id of a customer whose events alone are wanted."""
