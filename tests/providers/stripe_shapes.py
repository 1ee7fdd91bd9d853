"""Stripe's objects, with what its sample objects have."""

from typing import Any

MOMENT = 1763892672


def customer(number: int, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"cus_QXg1o8vcGm{number}", "object": "customer", "address": None, "balance": 0, "created": MOMENT, "currency": None,
        "default_source": None, "delinquent": False, "description": given.get("description"), "discount": None,
        "email": given.get("email"), "invoice_prefix": f"7FE11{number:02}", "livemode": False,
        "metadata": given.get("metadata", {}), "name": given.get("name"), "next_invoice_sequence": 1,
        "phone": given.get("phone"), "preferred_locales": [], "shipping": None, "tax_exempt": "none", "test_clock": None,
    }  # fmt: skip


def payment(number: int, **given: Any) -> dict[str, Any]:
    made = {
        "id": f"pi_1PgafyB7WZ01zgk{number}", "object": "payment_intent", "amount": 1099, "amount_capturable": 0,
        "amount_details": {"tip": {}}, "amount_received": 1099, "application": None, "application_fee_amount": None,
        "automatic_payment_methods": {"enabled": True}, "canceled_at": None, "cancellation_reason": None,
        "capture_method": "automatic", "client_secret": f"pi_{number}_secret_x", "confirmation_method": "automatic",
        "created": MOMENT, "currency": "usd", "customer": None, "description": None, "last_payment_error": None,
        "latest_charge": f"ch_1PgafuB7WZ01zgk{number}", "livemode": False, "metadata": {}, "next_action": None,
        "on_behalf_of": None, "payment_method": None, "payment_method_options": {}, "payment_method_types": ["card"],
        "processing": None, "receipt_email": None, "review": None, "setup_future_usage": None, "shipping": None,
        "statement_descriptor": None, "statement_descriptor_suffix": None, "status": "succeeded", "transfer_data": None,
        "transfer_group": None,
    }  # fmt: skip
    return {**made, **given}


def refund(number: int, of: dict[str, Any], amount: int, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"re_1Pgc72B7WZ01zgk{number}", "object": "refund", "amount": amount, "balance_transaction": None,
        "charge": of["latest_charge"], "created": MOMENT, "currency": of["currency"],
        "destination_details": {"card": {"type": "reversal"}, "type": "card"}, "metadata": given.get("metadata", {}),
        "payment_intent": of["id"], "reason": given.get("reason"), "receipt_number": None,
        "source_transfer_reversal": None, "status": "succeeded", "transfer_reversal": None,
    }  # fmt: skip


def subscription(**given: Any) -> dict[str, Any]:
    price = {
        "id": "price_1PgafmB7WZ01zgkW6dKueIc5", "object": "price", "active": True, "billing_scheme": "per_unit",
        "created": MOMENT, "currency": "usd", "livemode": False, "lookup_key": None, "metadata": {}, "nickname": None,
        "product": "prod_QXg1hqf4jFNsqG", "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "tax_behavior": "unspecified", "type": "recurring", "unit_amount": 2000, "unit_amount_decimal": "2000",
    }  # fmt: skip
    item = {
        "id": "si_QXhVnC2h0Jczwc", "object": "subscription_item", "created": MOMENT, "discounts": [], "metadata": {},
        "price": price, "quantity": 1, "subscription": "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw", "tax_rates": [],
        "current_period_start": MOMENT, "current_period_end": MOMENT + 2_592_000,
    }  # fmt: skip
    made = {
        "id": "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw", "object": "subscription", "cancel_at": None, "canceled_at": None,
        "cancel_at_period_end": False, "collection_method": "charge_automatically", "created": MOMENT, "currency": "usd",
        "customer": "cus_QXg1o8vcGmoR32", "description": None, "discounts": [], "ended_at": None, "latest_invoice": None,
        "items": {"object": "list", "data": [item], "has_more": False, "url": "/v1/subscription_items"}, "livemode": False,
        "metadata": {}, "pause_collection": None, "start_date": MOMENT, "status": "active", "trial_end": None,
    }  # fmt: skip
    return {**made, **given}


def endpoint(number: int, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"we_1Pgc6yB7WZ01zgk{number}", "object": "webhook_endpoint", "api_version": given.get("api_version"),
        "application": None, "created": MOMENT, "description": given.get("description"),
        "enabled_events": given["enabled_events"], "livemode": False, "metadata": {}, "status": "enabled", "url": given["url"],
    }  # fmt: skip


def event(number: int, kind: str, about: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    data = {"object": about} | ({} if before is None else {"previous_attributes": before})
    return {
        "id": f"evt_1Pgc76B7WZ01zgk{number}", "object": "event", "api_version": "2026-06-24.dahlia", "created": MOMENT,
        "data": data, "livemode": False, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": kind,
    }  # fmt: skip


def account(account_id: str, name: str, email: str) -> dict[str, Any]:
    return {
        "id": account_id, "object": "account", "business_type": None, "charges_enabled": True, "country": "US",
        "created": MOMENT, "default_currency": "usd", "details_submitted": True, "email": email, "metadata": {},
        "payouts_enabled": True, "settings": {"dashboard": {"display_name": name, "timezone": "Etc/UTC"}}, "type": "standard",
    }  # fmt: skip
