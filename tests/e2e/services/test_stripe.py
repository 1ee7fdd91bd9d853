"""Stripe through the engine: an account by its key, endpoints with secrets of Stripe's, and money given back once."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from area.core.errors import InvalidInput, InvalidInputs
from area.core.settings import Settings
from area.engine.areas import ReactionDraft
from tests.e2e.services.stories import Heard, step
from tests.engine.living import living
from tests.providers import stripe_shapes as shapes
from tests.providers.calls import Fault
from tests.providers.signing import stripe
from tests.providers.stripe import ACCOUNT, KEY, RESTRICTED, WEAK, Stripe

SUCCEEDED, FAILED, CHANGED = "stripe.payment_succeeded", "stripe.payment_failed", "stripe.subscription_changed"
CREATE, REFUND = "stripe.create_customer", "stripe.refund"
PAID, DECLINED = "payment_intent.succeeded", "payment_intent.payment_failed"
REFUNDS = "POST /v1/refunds"


class Story(Heard[Stripe]):
    """One user's AREAs, and Stripe."""

    async def shop(self, key: str = RESTRICTED) -> UUID:
        """The account, as its owner connects it."""
        return await self.platform.keys.connect(self.user, "stripe", {"key": key}, None)

    def back(self) -> list[int]:
        """The amounts that were given back."""
        return [one["amount"] for one in self.there.refunds.values()]


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Stripe()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)


def refund(account: UUID) -> ReactionDraft:
    return step(account, REFUND, payment="{{ trigger.payment_id }}", amount="{{ trigger.metadata.back }}")


async def test_a_payment_makes_a_customer_and_is_given_back_in_part_once(story: Story) -> None:
    account = await story.shop()
    named = step(account, CREATE, email="{{ trigger.email }}", name="Zoë 🚪", metadata={"for": "{{ trigger.total }}"})
    area = await story.from_now(account, SUCCEEDED, named, refund(account), currency="usd")
    ((key, endpoint),) = story.there.endpoints.items()
    assert (endpoint["enabled_events"], endpoint["api_version"]) == ([PAID], "2026-06-24.dahlia")
    paid = story.there.pays(receipt_email="zoe@example.com", metadata={"back": "400"})
    event = await story.there.happens(PAID, paid)
    await story.there.tell(event)  # as Stripe does where it did not hear us
    await story.there.happens(PAID, story.there.pays(currency="eur"))
    forged = shapes.event(1, PAID, paid)
    for secret, at, status in (("whsec_guessed", None, 401), (story.there.secrets[key], shapes.MOMENT, 401)):
        await story.there.deliver(endpoint["url"], forged, sign=stripe(secret, at=at), expects=status)
    await story.there.deliver(endpoint["url"], [], sign=stripe(story.there.secrets[key]), expects=400)
    (run,) = await story.runs(area)
    assert (await story.status(run), story.back()) == ("succeeded", [400])
    (customer,) = story.there.customers.values()
    assert (customer["email"], customer["name"], customer["metadata"]["for"]) == (
        "zoe@example.com",
        "Zoë 🚪",
        "10.99 USD",
    )
    assert (await story.steps(run))["refund"]["output"]["total"] == "4.00 USD"


async def test_an_endpoint_goes_with_its_last_area_and_comes_back_when_it_was_removed(story: Story) -> None:
    account = await story.shop()
    thanks = step(
        account, CREATE, email="a@b.c", description="{{ trigger.status }} after {{ trigger.previous_status }}"
    )
    area = await story.from_now(account, CHANGED, thanks, changes=["updated"])
    other = await story.from_now(account, FAILED, step(account, CREATE, name="{{ trigger.reason }}"))
    assert len(story.there.endpoints) == 2
    story.there.endpoints.clear()
    await story.look(area)
    await story.there.happens(
        "customer.subscription.updated", shapes.subscription(status="past_due"), {"status": "active"}
    )
    assert len(await story.runs(area)) == 1
    assert [one["description"] for one in story.there.customers.values()] == ["past_due after active"]
    await story.look(other)
    await story.there.happens(DECLINED, shapes.payment(1, last_payment_error={"message": "Nicht gedeckt."}))
    assert len(await story.runs(other)) == 1
    for one in (area, other):
        await story.gone(one)
    assert story.there.endpoints == {}


DOWN = Fault(status=503, body={"error": {"type": "api_error"}})
LIMIT = Fault(status=429, body={"error": {"code": "rate_limit"}})
HTML = Fault(body="<h1>Maintenance</h1>", headers={"content-type": "text/html"})


@pytest.mark.parametrize(
    ("fault", "code", "made"),
    [
        (Fault(lose=True), "UNREACHABLE", 1),
        (DOWN, "UNAVAILABLE", 0),
        (LIMIT, "THROTTLED", 0),
        (HTML, "UNAVAILABLE", 0),
    ],
    ids=["answer lost", "down", "limit", "html"],
)
async def test_what_passes_is_tried_again_and_gives_the_money_back_once(
    story: Story, fault: Fault, code: str, made: int
) -> None:
    account = await story.shop()
    area = await story.from_now(account, SUCCEEDED, refund(account))
    await story.there.happens(PAID, story.there.pays(metadata={"back": "400"}))
    story.there.next(fault, REFUNDS)
    (run,) = await story.runs(area)
    found = (await story.steps(run))["refund"]
    assert (found["status"], found["error"]["code"], len(story.back())) == ("waiting", code, made)
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.back()) == ("succeeded", [400])
    assert len({call.headers["idempotency-key"] for call in story.there.asked("POST", "/v1/refunds")}) == 1


@pytest.mark.parametrize(("made", "status"), [(True, "succeeded"), (False, "held")])
async def test_a_failure_that_stripe_will_repeat_is_looked_into(story: Story, made: bool, status: str) -> None:
    """A 500 is kept under its Idempotency-Key, and says nothing of whether the refund is there."""
    account = await story.shop()
    area = await story.from_now(account, SUCCEEDED, refund(account))
    await story.there.happens(PAID, story.there.pays(metadata={"back": "400"}))
    kept = Fault(status=500, body={"error": {"type": "api_error"}}, headers={"Idempotent-Replayed": "true"})
    if made:
        story.there.next(Fault(lose=True), REFUNDS)
    story.there.next(kept, REFUNDS)
    (run,) = await story.runs(area)
    if made:
        await story.due_now(run)
        await story.execute(run)
    assert (await story.status(run), story.back()) == (status, [400] * made)


async def test_a_key_that_was_revoked_holds_the_run_until_another_is_given(story: Story) -> None:
    account = await story.shop()
    area = await story.from_now(account, SUCCEEDED, refund(account))
    await story.there.happens(PAID, story.there.pays(metadata={"back": "400"}))
    del story.there.keys[RESTRICTED]
    (run,) = await story.runs(area)
    assert (await story.status(run), story.back()) == ("held", [])
    assert await story.shop(KEY) == account, "another key of the same account"
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.back()) == ("succeeded", [400])


async def test_what_is_gone_fails_in_words_and_is_not_tried_again(story: Story) -> None:
    account = await story.shop()
    area = await story.from_now(account, SUCCEEDED, step(account, REFUND, payment="pi_gone"))
    await story.there.happens(PAID, story.there.pays())
    (run,) = await story.runs(area)
    failed = (await story.steps(run))["refund"]["error"]
    assert (await story.status(run), failed["code"]) == ("failed", "NOT_FOUND")
    assert "test mode and live mode each have their own" in failed["message"]
    assert len(story.there.asked("POST", "/v1/refunds")) == 1


async def test_keys_are_tried_and_modes_are_accounts_of_their_own(story: Story) -> None:
    for key, words in (
        ("sk_test_unknown00000", "does not take this API key"),
        ("pk_test_AdasDoorsOpen", "publishable"),
    ):
        with pytest.raises((InvalidInput, InvalidInputs), match=words) as caught:
            await story.shop(key)
        assert key not in str(caught.value)
    live = KEY.replace("_test_", "_live_")
    story.there.keys[live] = None
    assert len({await story.shop(), await story.shop(live)}) == 2
    rows = await story.pool.fetch("SELECT external_id FROM connected_accounts WHERE user_id = $1", story.user)
    assert sorted(row["external_id"] for row in rows) == [ACCOUNT, f"{ACCOUNT}:test"]


async def test_a_key_without_the_permission_is_told_at_the_source(story: Story) -> None:
    account = await story.shop(WEAK)
    with pytest.raises(AssertionError, match="rak_webhook_endpoints_read"):
        await story.from_now(account, SUCCEEDED, refund(account))
    assert story.there.endpoints == {}
