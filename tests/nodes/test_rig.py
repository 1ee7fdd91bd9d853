"""The conformance suite bites: a service that keeps every promise passes, and one that breaks one is told which."""

from typing import Any

import pytest

from area.nodes import sdk
from tests.nodes import specimen
from tests.nodes.conforming import conforms
from tests.nodes.rig import probes


async def held_to_all(service: sdk.Service) -> None:
    found = list(probes(service))
    assert [probe.name for probe in found] == [
        "acme:identify",
        "acme.new_note",
        "acme.changed:subscribe",
        "acme.changed:unsubscribe",
        "acme.changed:is_subscribed",
        "acme.write",
        "acme.new_note:board",
        "acme.changed:board",
        "acme.write:board",
    ]
    await conforms(service)


async def test_a_good_service_passes() -> None:
    await held_to_all(specimen.make())


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"reply": specimen.swallows}, r"acme\.write makes None of 401"),
        ({"reply": specimen.trusts}, r"acme\.write breaks at .*KeyError"),
        ({"reply": specimen.repeats}, r"acme\.write makes Unavailable.* of ReadTimeout"),
        ({"reply": specimen.sleeps_in}, r"of 429, after 3600"),
        ({"reply": specimen.never_asks}, r"fails before it asks anything: Rejected"),
        ({"judge": specimen.judge_trusts}, r"the judge of acme makes .*Error"),
        ({"list_": specimen.trusts}, r"acme\.write:board fails before it asks"),
    ],
)
async def test_a_broken_promise_is_found(broken: dict[str, Any], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        await held_to_all(specimen.make(**broken))
