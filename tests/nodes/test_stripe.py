"""Stripe: what fires, what is sent and how, that nothing is made or given back twice, and what Stripe's errors mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.engine.intake import dedupe_key
from area.nodes import sdk
from area.nodes.stripe import events, money, provider, reactions, service
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.stripe_wire import delivery, wired
from tests.providers import stripe_shapes as shapes
from tests.providers.calls import Fault
from tests.providers.stripe import ACCOUNT, ENDPOINTS, KEY, RESTRICTED, WEAK, Stripe

HOOK = sdk.Hook("h1", "https://area.example/hooks/token", "ab" * 32)
ADA = {"email": "ada@example.com", "name": "Ада Лавлейс 🚪", "metadata": {"bestellung": "Nº 7"}}
AT = datetime(2025, 11, 23, 10, 11, 12, tzinfo=UTC)
HTML = Fault(status=200, body="<h1>Maintenance</h1>", headers={"content-type": "text/html"})
MARK = {"area_step": "run-1/step-1"}


@pytest.fixture
def there() -> Stripe:
    return Stripe()


@pytest.fixture
def ctx(there: Stripe) -> FakeContext:
    return wired(there)


def fires(action: sdk.Action, kind: str, about: Any, before: Any = None, **where: Any) -> Any:
    return action.fn(action.inputs.model_validate(where), delivery(shapes.event(7, kind, about, before)))


# What fires


def test_a_payment_is_told_whole() -> None:
    paid = shapes.payment(
        1, amount=1500, customer="cus_1", description="Дверь 🚪", receipt_email="a@b.c", metadata={"order": "7"}
    )
    assert fires(events.payment_succeeded, events.SUCCEEDED, paid, customer="cus_1", currency="USD").model_dump() == {
        "event_id": "evt_1Pgc76B7WZ01zgk7",
        "at": AT,
        "live": False,
        "customer_id": "cus_1",
        "metadata": {"order": "7"},
        "payment_id": "pi_1PgafyB7WZ01zgk1",
        "charge_id": "ch_1PgafuB7WZ01zgk1",
        "amount": 1099,
        "currency": "usd",
        "total": "10.99 USD",
        "description": "Дверь 🚪",
        "email": "a@b.c",
    }
    for other in ({"customer": "cus_2"}, {"currency": "eur"}):
        assert fires(events.payment_succeeded, events.SUCCEEDED, paid, **other) is None
    assert fires(events.payment_succeeded, events.FAILED, paid) is None
    assert fires(events.payment_succeeded, events.SUCCEEDED, {**paid, "object": "charge"}) is None


def test_a_failed_payment_says_why_and_a_guest_has_no_customer() -> None:
    error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "Nicht gedeckt."}
    failed = shapes.payment(
        1, amount_received=0, last_payment_error=error, latest_charge={"id": "ch_x", "object": "charge"}
    )
    told = fires(events.payment_failed, events.FAILED, failed)
    assert (told.reason, told.code, told.decline_code) == ("Nicht gedeckt.", "card_declined", "insufficient_funds")
    assert (told.amount, told.charge_id, told.customer_id) == (1099, "ch_x", None)
    told = fires(events.payment_failed, events.FAILED, {**failed, "last_payment_error": None})
    assert (told.reason, told.code) == ("", "")


def test_a_subscription_says_what_has_changed() -> None:
    late = shapes.subscription(status="past_due", cancel_at_period_end=True)
    told = fires(
        events.subscription_changed,
        "customer.subscription.updated",
        late,
        {"status": "active", "latest_invoice": "in_1"},
    )
    assert (told.change, told.status, told.previous_status) == ("updated", "past_due", "active")
    assert (told.changed, told.total, told.interval) == (["latest_invoice", "status"], "20.00 USD", "month")
    assert (told.ends_with_period, told.period_end) == (True, AT + timedelta(days=30))
    assert fires(events.subscription_changed, "customer.subscription.paused", late) is None
    assert fires(events.subscription_changed, "customer.subscription.paused", late, changes=["paused"]).changed == []
    item = late["items"]["data"][0]
    item["price"]["recurring"]["interval_count"] = 3
    told = fires(events.subscription_changed, "customer.subscription.updated", late)
    assert told.interval == "3 months"
    bare = {"id": "sub_1", "object": "subscription", "items": {"data": []}, "customer": {"id": "cus_1"}}
    told = fires(events.subscription_changed, "customer.subscription.deleted", bare, customer="cus_1")
    assert (told.change, told.customer_id, told.price_id, told.total) == ("deleted", "cus_1", None, "")


def test_a_payment_that_stripe_tells_as_two_events_is_one() -> None:
    """Stripe may make two events of one thing; failures and changes of a subscription are told apart by their events alone."""
    told = [delivery(shapes.event(number, events.SUCCEEDED, shapes.payment(1))) for number in (1, 2)]
    once, twice = (
        [dedupe_key(node, {"event_id": one.body["id"]}, one) for one in told]
        for node in (events.payment_succeeded, events.payment_failed)
    )
    assert once[0] == once[1]
    assert twice[0] != twice[1]


@pytest.mark.parametrize("lacking", ["id", "type", "created", "data"])
def test_what_is_no_event_is_refused_as_that(lacking: str) -> None:
    event = shapes.event(1, events.SUCCEEDED, shapes.payment(1))
    del event[lacking]
    with pytest.raises(ValidationError):  # which the endpoint answers with 400
        events.payment_succeeded.fn(events.Payments(), delivery(event))


@pytest.mark.parametrize(
    ("amount", "currency", "wanted"),
    [
        (1099, "usd", "10.99 USD"),
        (5, "eur", "0.05 EUR"),
        (1099, "jpy", "1099 JPY"),
        (5120, "kwd", "5.120 KWD"),
        (500, "isk", "5.00 ISK"),
        (500, "ugx", "5.00 UGX"),
    ],
)
def test_amounts_are_in_the_currency_s_smallest_unit(amount: int, currency: str, wanted: str) -> None:
    assert money.shown(amount, currency) == wanted


# Webhook endpoints


async def subscribed(ctx: FakeContext, remote_id: str | None = None, **where: Any) -> sdk.Subscription:
    action = events.subscription_changed
    assert action.subscriber
    hook = sdk.Hook("h1", HOOK.url, HOOK.secret, remote_id)
    found = await action.subscriber(ctx, events.Subscriptions.model_validate(where), hook)
    assert isinstance(found, sdk.Subscription)
    return found


async def is_there(ctx: FakeContext, remote_id: str, **where: Any) -> bool:
    assert events.subscription_changed.still_there
    return bool(await events.subscription_changed.still_there(ctx, events.Subscriptions(**where), remote_id))


async def test_an_endpoint_asks_for_its_events_alone_and_its_secret_is_kept(there: Stripe, ctx: FakeContext) -> None:
    made = await subscribed(ctx, changes=["updated", "deleted"])
    (call,) = there.asked("POST", "/v1/webhook_endpoints")
    assert call.body.decode() == (
        "url=https%3A%2F%2Farea.example%2Fhooks%2Ftoken&enabled_events%5B%5D=customer.subscription.updated"
        "&enabled_events%5B%5D=customer.subscription.deleted&api_version=2026-06-24.dahlia&description=AREA"
    )
    assert (call.headers["content-type"], call.headers["stripe-version"], call.headers["authorization"]) == (
        "application/x-www-form-urlencoded",
        "2026-06-24.dahlia",
        f"Bearer {KEY}",
    )
    assert made == sdk.Subscription(made.remote_id, secret=there.secrets[made.remote_id])
    assert "whsec_" not in repr(made)
    assert await is_there(ctx, made.remote_id, changes=["updated"])
    assert not await is_there(ctx, made.remote_id, changes=["updated", "paused"]), "it does not deliver these"
    assert events.subscription_changed.unsubscriber
    for _ in range(2):  # one that is gone is no error
        await events.subscription_changed.unsubscriber(ctx, events.Subscriptions(), made.remote_id)
    assert there.endpoints == {}
    assert not await is_there(ctx, made.remote_id)


async def test_an_endpoint_that_was_switched_off_is_ours_again_under_its_secret(
    there: Stripe, ctx: FakeContext
) -> None:
    made = await subscribed(ctx)
    there.endpoints[made.remote_id] |= {"status": "disabled", "enabled_events": ["*"]}
    assert not await is_there(ctx, made.remote_id)
    assert await subscribed(ctx, made.remote_id) == sdk.Subscription(made.remote_id)
    assert await is_there(ctx, made.remote_id)


async def test_an_endpoint_whose_secret_was_lost_in_a_crash_is_replaced(there: Stripe, ctx: FakeContext) -> None:
    there.new_endpoint({"url": "https://elsewhere.example", "enabled_events": ["*"]})
    lost = await subscribed(ctx)
    made = await subscribed(ctx)
    assert made.secret != lost.secret
    assert [one["url"] for one in there.endpoints.values()] == ["https://elsewhere.example", HOOK.url]
    there.endpoints.pop(made.remote_id)
    again = await subscribed(ctx, made.remote_id)
    assert again.secret == there.secrets[again.remote_id]


async def test_an_account_that_has_all_its_endpoints_says_so(there: Stripe, ctx: FakeContext) -> None:
    for number in range(ENDPOINTS):
        there.new_endpoint({"url": f"https://elsewhere.example/{number}", "enabled_events": ["*"]})
    with pytest.raises(sdk.Rejected, match="maximum of 16"):
        await subscribed(ctx)


async def test_an_endpoint_without_a_secret_is_not_kept(there: Stripe, ctx: FakeContext) -> None:
    there.next(Fault(body=shapes.endpoint(1, {"url": HOOK.url, "enabled_events": ["*"]})), "POST /v1/webhook_endpoints")
    with pytest.raises(sdk.Unavailable):
        await subscribed(ctx)


# What is done


async def test_a_customer_is_made_once_with_all_that_was_given(there: Stripe, ctx: FakeContext) -> None:
    given = reactions.NewCustomer.model_validate(ADA)
    first = await reactions.create_customer.fn(ctx, given)
    assert await reactions.create_customer.fn(ctx, given) == first
    (made,) = there.customers.values()
    assert (made["email"], made["name"], made["metadata"]) == (
        ADA["email"],
        ADA["name"],
        {"bestellung": "Nº 7", **MARK},
    )
    assert (made["phone"], made["description"]) == (None, None), "what is empty is not sent"
    assert first.model_dump() == {
        "customer_id": made["id"],
        "email": "ada@example.com",
        "name": "Ада Лавлейс 🚪",
        "live": False,
        "created_at": AT,
    }
    assert {call.headers["idempotency-key"] for call in there.asked("POST", "/v1/customers")} == {"run-1/step-1"}
    assert ctx.lines == [("info", "Stripe had done this in an earlier attempt, and gave that answer again.")]


async def test_a_customer_of_nothing_is_not_asked_for(there: Stripe, ctx: FakeContext) -> None:
    with pytest.raises(sdk.Rejected) as caught:
        await reactions.create_customer.fn(ctx, reactions.NewCustomer(metadata={"a": "b"}))
    assert (caught.value.field, there.calls) == ("email", [])


async def test_a_refund_is_of_a_part_and_then_of_all_that_is_left(there: Stripe, ctx: FakeContext) -> None:
    paid = there.pays()
    part = reactions.NewRefund(payment=paid["id"], amount=500, reason="requested_by_customer")
    found = await reactions.refund.fn(ctx, part)
    assert (found.amount, found.total, found.status) == (500, "5.00 USD", "succeeded")
    assert (found.payment_id, found.charge_id) == (paid["id"], paid["latest_charge"])
    rest = await reactions.refund.fn(
        wired(there, idempotency_key="k2"), reactions.NewRefund(payment=paid["latest_charge"])
    )
    assert rest.amount == 599
    assert [call.body.decode() for call in there.asked("POST", "/v1/refunds")] == [
        f"payment_intent={paid['id']}&amount=500&reason=requested_by_customer&metadata%5Barea_step%5D=run-1%2Fstep-1",
        f"charge={paid['latest_charge']}&metadata%5Barea_step%5D=k2",
    ]
    with pytest.raises(sdk.Rejected, match="already been refunded") as caught:
        await reactions.refund.fn(wired(there, idempotency_key="k3"), reactions.NewRefund(payment=paid["id"], amount=1))
    assert caught.value.code == "CHARGE_ALREADY_REFUNDED"


async def test_a_refund_of_too_much_or_of_nothing_blames_its_input(there: Stripe, ctx: FakeContext) -> None:
    paid = there.pays()
    for given, code, field in (
        ({"payment": paid["id"], "amount": 1100}, "REFUSED", "amount"),
        ({"payment": "pi_gone"}, "NOT_FOUND", "payment"),
        ({"payment": "ch_gone"}, "NOT_FOUND", "payment"),
    ):
        with pytest.raises(sdk.Rejected) as caught:
            await reactions.refund.fn(ctx, reactions.NewRefund.model_validate(given))
        assert (caught.value.code, caught.value.field) == (code, field)
    assert there.refunds == {}


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_stripe_could_not_carry_out_is_no_success(
    there: Stripe, ctx: FakeContext, status: str
) -> None:
    made = {**shapes.refund(1, there.pays(), 1, {}), "status": status, "failure_reason": "lost_or_stolen_card"}
    there.next(Fault(body=made))
    with pytest.raises(sdk.Rejected, match="lost_or_stolen_card") as caught:
        await reactions.refund.fn(ctx, reactions.NewRefund(payment="pi_1"))
    assert caught.value.code == "REFUND_FAILED"


@pytest.mark.parametrize("days", [0, 3], ids=["Stripe knows the key", "it has forgotten it"])
@pytest.mark.parametrize("node", service.reactions.values(), ids=service.reactions.keys())
async def test_what_an_earlier_attempt_made_is_not_made_again(there: Stripe, node: sdk.Reaction, days: int) -> None:
    there.pays()
    given = {"stripe.create_customer": ADA, "stripe.refund": {"payment": "pi_1PgafyB7WZ01zgk1", "amount": 5}}[node.key]
    inputs = node.inputs.model_validate(given)
    made = await node.fn(wired(there, moment=AT), inputs)
    if days:
        there.kept.clear()
    later = wired(there, moment=AT + timedelta(days=days), tried_since=AT)
    assert await node.fn(later, inputs) == made
    assert node.reconciler
    assert await node.reconciler(later, inputs) == made
    later.idempotency_key = "another step"
    assert await node.reconciler(later, inputs) is None
    assert len(there.customers) + len(there.refunds) == 1


async def test_a_list_too_long_to_be_sure_leaves_it_to_a_person(there: Stripe) -> None:
    for _ in range(reactions.PAGES * provider.PER_PAGE + 1):
        there.new_customer({"email": "ada@example.com"})
    ctx = wired(there, moment=AT + timedelta(days=3), tried_since=AT)
    with pytest.raises(sdk.Unknown, match="look in Stripe"):
        await reactions.create_customer.fn(ctx, reactions.NewCustomer(email="ada@example.com"))
    assert there.asked("POST", "/v1/customers") == []


@pytest.mark.parametrize("bad", [{"a[b]": "x"}, {"x" * 41: "x"}, {"a": "x" * 501}, {str(n): "x" for n in range(50)}])
def test_metadata_is_what_stripe_takes(bad: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        reactions.NewCustomer(email="a@b.c", metadata=bad)


@pytest.mark.parametrize("bad", [{"payment": "cus_1"}, {"payment": "pi_1/../x"}, {"payment": "pi_1", "amount": 0}])
def test_a_refund_is_of_a_payment_and_of_something(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reactions.NewRefund.model_validate(bad)


def test_an_amount_that_a_template_leaves_empty_gives_back_nothing() -> None:
    """Else what a payload lacks would be taken for all of the payment."""
    with pytest.raises(ValidationError, match="leave it out to give back all"):
        reactions.NewRefund(payment="pi_1", amount=None)
    assert reactions.NewRefund(payment="pi_1").amount is None


# Choices, and whose key it is


async def test_what_there_is_to_choose_from(there: Stripe, ctx: FakeContext) -> None:
    for given in ({"email": "a@b.c", "name": "Zoë"}, {"email": "b@b.c"}, {}):
        there.new_customer(given)
    assert [one.label for one in await money.customer_choices(ctx, {})] == ["cus_QXg1o8vcGm3", "b@b.c", "Zoë (a@b.c)"]
    first, second = there.pays(description="Tür 🚪"), there.pays(currency="jpy", receipt_email="a@b.c")
    there.pays(status="requires_payment_method")
    assert [(one.value, one.label) for one in await money.payment_choices(ctx, {})] == [
        (second["id"], "1099 JPY, a@b.c, 2025-11-23"),
        (first["id"], "10.99 USD, Tür 🚪, 2025-11-23"),
    ]


async def test_a_key_tells_whose_it_is_also_where_it_may_not_read_the_account(there: Stripe) -> None:
    found = await provider.identify(wired(there))
    assert (found.external_id, found.label) == (f"{ACCOUNT}:test", "Ada's Doors (test mode)")
    restricted = await provider.identify(wired(there, RESTRICTED))
    assert (restricted.external_id, restricted.label) == (f"{ACCOUNT}:test", f"{ACCOUNT} (test mode)")
    live = KEY.replace("_test_", "_live_")
    there.keys[live] = None
    found = await provider.identify(wired(there, live))
    assert (found.external_id, found.label, found.facts) == (
        ACCOUNT,
        "Ada's Doors",
        {"account": ACCOUNT, "test": False},
    )
    with pytest.raises(sdk.Reconnect) as caught:
        await provider.identify(wired(there, "sk_test_unknown"))
    assert "sk_test" not in caught.value.message


@pytest.mark.parametrize("bad", ["pk_test_AdasDoorsOpen", "whsec_AdasDoorsHook", "sk_AdasDoorsAll", f"{KEY}é"])
def test_what_is_no_such_key_is_not_even_tried(bad: str) -> None:
    with pytest.raises(ValidationError):
        provider.ApiKey(key=bad)


async def test_a_missing_permission_is_named_and_the_key_is_not(there: Stripe) -> None:
    with pytest.raises(sdk.Rejected, match="'rak_customers_read'") as caught:
        await reactions.create_customer.fn(wired(there, WEAK), reactions.NewCustomer(email="a@b.c"))
    assert caught.value.code == "FORBIDDEN"
    assert "rk_test" not in caught.value.message


# What its errors mean

POST = [
    (400, {"type": "idempotency_error", "message": "x"}, {}, sdk.Unknown),
    (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, {}, sdk.Unavailable),
    (409, {"code": "lock_timeout"}, {}, sdk.Unavailable),
    (409, {"type": "invalid_request_error"}, {"stripe-should-retry": "true"}, sdk.Unavailable),
    (409, {"type": "invalid_request_error"}, {}, sdk.Rejected),
    (402, {"type": "card_error", "code": "card_declined"}, {}, sdk.Rejected),
    (500, {"type": "api_error"}, {}, sdk.Unavailable),
    (500, {"type": "api_error"}, {"stripe-should-retry": "true"}, sdk.Unavailable),
    (500, {"type": "api_error"}, {"stripe-should-retry": "false"}, sdk.Unknown),
    (500, {"type": "api_error"}, {"idempotent-replayed": "true"}, sdk.Unknown),
    (429, {"type": "invalid_request_error", "code": "rate_limit"}, {"retry-after": "7"}, sdk.Throttled),
]


@pytest.mark.parametrize(("status", "error", "headers", "kind"), POST, ids=range(len(POST)))
async def test_a_failure_says_what_it_means(
    there: Stripe, ctx: FakeContext, status: int, error: Any, headers: dict[str, str], kind: type[Exception]
) -> None:
    there.next(Fault(status=status, body={"error": error}, headers=headers))
    with pytest.raises(kind) as caught:
        await reactions.create_customer.fn(ctx, reactions.NewCustomer(email="a@b.c"))
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", 7) == 7


async def test_an_answer_that_is_none_is_asked_for_again_by_the_same_key(there: Stripe, ctx: FakeContext) -> None:
    for body in ({}, [], {"object": "customer"}, {"id": "cus_1", "object": "refund"}):
        there.next(Fault(body=body))
        with pytest.raises(sdk.Unavailable):
            await reactions.create_customer.fn(ctx, reactions.NewCustomer(email="a@b.c"))
    there.next(HTML)
    with pytest.raises(sdk.Unavailable, match="something else than its API promises"):
        await reactions.create_customer.fn(ctx, reactions.NewCustomer(email="a@b.c"))
    assert len({call.headers["idempotency-key"] for call in there.calls}) == 1


async def test_a_failed_reading_may_be_tried_again(context: MakeContext) -> None:
    answer = httpx.Response(500, json={"error": {}}, headers={"stripe-should-retry": "false"})
    with pytest.raises(sdk.Unavailable):
        await money.customer_choices(context(lambda request: answer, service=service), {})
