"""When an account dies: its runs are held and go on by themselves, its hooks wait, its owner is told; and the limits of waiting."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.engine import control, polling
from area.engine.areas import ReactionDraft
from area.engine.connections import held
from area.engine.executor import Executor
from area.nodes import sdk
from tests.engine.conftest import World, log
from tests.engine.connections import column, connected, ends_in, platform_with
from tests.providers.acme import Acme, make_service
from tests.providers.base import serving
from tests.providers.calls import Fault


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    standin = Acme()
    async with serving(standin):
        yield standin


@pytest.fixture
async def world(settings: Settings, acme: Acme, user: UUID) -> AsyncIterator[World]:
    async with platform_with(settings, acme.environment()) as opened:
        yield World(opened, user)


def note(account: UUID, key: str = "note", text: str = "hello", **more: Any) -> ReactionDraft:
    return ReactionDraft("acme.write_note", {"text": text}, key=key, account_id=account, **more)


async def reconnect(world: World, acme: Acme, account: UUID) -> None:
    """As its owner would by the consent page."""
    assert await connected(world.platform, acme, world.user) == account
    await world.platform.accounts.revived(account)


async def again(world: World, run: UUID) -> None:
    """What a worker does with a run that was let go."""
    await world.execute(run)


async def error_of(world: World, run: UUID) -> Any:
    return await world.pool.fetchval("SELECT error FROM runs WHERE id = $1", run)


async def test_a_run_whose_account_dies_is_held_and_goes_on_when_it_is_connected_again(
    world: World, acme: Acme
) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(log("first"), note(account), log("last"))
    acme.auth.withdraw()
    run = await world.happen(area, {})
    assert await world.status(run) == "held"
    error = await error_of(world, run)
    assert (error["code"], error["step"], error["accountId"]) == (held.CODE, "note", str(account))
    assert "'ada' at Acme has to be connected again" in error["message"]
    steps = await world.steps(run)
    assert {key: (step["status"], step["attempt"], step["effect"]) for key, step in steps.items()} == {
        "first": ("succeeded", 1, "none"),
        "note": ("waiting", 0, "none"),
    }
    await reconnect(world, acme, account)
    assert await world.status(run) == "queued"
    await again(world, run)
    assert await world.status(run) == "succeeded"
    assert [one["text"] for one in acme.notes] == ["hello"]
    assert (await world.steps(run))["note"]["attempt"] == 1
    story = await world.story(run)
    assert story.count("run_held") == 1
    assert story.count("run_failed") == 0
    assert await error_of(world, run) is None


async def test_while_an_account_is_dead_its_runs_are_held_without_asking_the_provider(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(note(account))
    acme.auth.withdraw()
    runs = [await world.happen(area, {"n": 1})]
    asked = len(acme.calls)
    runs += [await world.happen(area, {"n": number}) for number in range(2, 5)]
    assert [await world.status(run) for run in runs] == ["held"] * 4
    assert len(acme.calls) == asked
    await reconnect(world, acme, account)
    for run in runs:
        await again(world, run)
    assert [await world.status(run) for run in runs] == ["succeeded"] * 4
    assert len(acme.notes) == 4


async def test_brothers_of_a_held_step_finish_and_do_not_happen_again(world: World, acme: Acme) -> None:
    dead, alive = await connected(world.platform, acme, world.user), None
    alive = await connected(world.platform, acme, world.user, acme.users[1])
    acme.auth.withdraw(acme.users[0])
    area = await world.area(note(dead, "one", "from ada"), note(alive, "two", "from grace"), mode="parallel")
    run = await world.happen(area, {})
    assert await world.status(run) == "held"
    assert (await world.steps(run))["two"]["status"] == "succeeded"
    await reconnect(world, acme, dead)
    await again(world, run)
    assert await world.status(run) == "succeeded"
    assert sorted(one["text"] for one in acme.notes) == ["from ada", "from grace"]


async def test_a_run_that_is_held_at_the_moment_of_the_reconnection_is_found(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(note(account))
    acme.auth.withdraw()
    run = await world.happen(area, {})
    # The account is back, and whoever connected it did not see this run.
    await connected(world.platform, acme, world.user)
    world.platform.accounts.vault.forget(account)
    assert await world.status(run) == "held"
    assert await world.platform.accounts.held.release() >= 1  # what the scheduler does all the time
    await again(world, run)
    assert await world.status(run) == "succeeded"


async def test_runs_that_wait_too_long_or_are_too_many_fail_and_say_why(
    settings: Settings, acme: Acme, user: UUID
) -> None:
    few = settings.model_copy(update={"held_runs": 3, "held_days": 2})
    async with platform_with(few, acme.environment()) as platform:
        world = World(platform, user)
        account = await connected(platform, acme, user)
        area = await world.area(note(account), log("after"))
        acme.auth.withdraw()
        runs = [await world.happen(area, {"n": number}) for number in range(5)]
        await platform.accounts.held.expire()
        assert [await world.status(run) for run in runs] == ["failed"] * 2 + ["held"] * 3
        await world.pool.execute(
            "UPDATE runs SET error = error || jsonb_build_object('heldAt', now() - interval '49 hours') WHERE id = $1",
            runs[3],
        )
        await platform.accounts.held.expire()
        assert [await world.status(run) for run in runs] == ["failed", "failed", "held", "failed", "held"]
        error = await error_of(world, runs[3])
        assert (error["code"], error["step"]) == (held.TOO_LONG, "note")
        assert "within 2 days" in error["message"]
        steps = await world.steps(runs[3])
        assert steps["note"]["status"] == "failed"
        assert (await world.story(runs[3]))[-1] == "run_failed"
        await reconnect(world, acme, account)
        for run in runs:
            await again(world, run)
        assert [await world.status(run) for run in runs] == ["failed", "failed", "succeeded", "failed", "succeeded"]


async def test_disconnecting_fails_what_waits_and_what_comes_later_and_says_so(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(note(account))
    acme.auth.withdraw()
    run = await world.happen(area, {"n": 1})
    await world.platform.accounts.disconnect(world.user, account)
    later = await world.happen(area, {"n": 2})
    for one in (run, later):
        assert await world.status(one) == "failed"
        error = await error_of(world, one)
        assert (error["code"], error["step"]) == (held.DISCONNECTED, "note")
    # Connected again it is the same account, and the AREA works as before.
    assert await connected(world.platform, acme, world.user) == account
    world.platform.accounts.vault.forget(account)
    assert await world.status(await world.happen(area, {"n": 3})) == "succeeded"


async def test_a_held_run_can_be_cancelled(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(note(account))
    acme.auth.withdraw()
    run = await world.happen(area, {})
    await control.cancel_run(world.platform, world.user, run)
    assert await world.status(run) == "cancelled"
    await reconnect(world, acme, account)
    assert await world.status(run) == "cancelled"
    assert acme.notes == []


async def test_an_account_that_a_node_calls_dead_is_dead(settings: Settings, acme: Acme, user: UUID) -> None:
    """As a mail server does, which refuses a password and speaks no HTTP."""
    service = make_service()

    @service.reaction("Speak another protocol", idempotent=True)
    async def speak(ctx: sdk.Context, what: sdk.Inputs) -> sdk.Outputs:
        """Is refused."""
        raise sdk.Reconnect("535 Authentication failed")

    async with platform_with(settings, acme.environment(), service) as platform:
        world = World(platform, user)
        account = await connected(platform, acme, user)
        area = await world.area(ReactionDraft("acme.speak", {}, key="speak", account_id=account))
        run = await world.happen(area, {})
        assert await world.status(run) == "held"
        told = await column(platform, account, "status || ': ' || last_error")
        assert told == "needs_reconnect: 535 Authentication failed"


async def test_a_call_whose_worker_died_is_asked_about_once_its_account_is_back(
    settings: Settings, acme: Acme, user: UUID
) -> None:
    service = make_service()

    async def find(ctx: sdk.Context, given: Any) -> Any:
        found = (await ctx.http.get("/notes")).json()["notes"]
        return service.reactions["acme.write_note"].outputs.model_validate(found[0]) if found else None

    service.reactions["acme.write_note"].reconcile(find)
    async with platform_with(settings, acme.environment(), service) as platform:
        world = World(platform, user)
        account = await connected(platform, acme, user)
        area = await world.area(note(account))
        # The note is written, its worker seems to be dead before the answer, and then the account dies.
        acme.next(Fault(hang=True), "POST /v1/notes")
        await world.fire(area, {})
        run = await world.run_of(area)
        worker = asyncio.create_task(world.execute(run, executor=platform.executor()))
        await asked(acme, "POST /v1/notes")
        acme.notes.append({"id": "1", "text": "hello"})
        acme.auth.withdraw()
        await world.expire_lease(run)
        await world.execute(run, executor=platform.executor())
        assert await world.status(run) == "held"
        assert (await world.steps(run))["note"]["effect"] == "intended"
        await reconnect(world, acme, account)
        await again(world, run)
        assert await world.status(run) == "succeeded"
        assert (await world.steps(run))["note"]["effect"] == "confirmed"
        # The worker was not dead but slow: what it has to say now is not heard any more.
        acme.release()
        await worker
        assert await world.status(run) == "succeeded"
        assert len(acme.notes) == 1


async def asked(acme: Acme, call: str) -> None:
    async with asyncio.timeout(10):
        while not any(f"{one.method} {one.path}" == call for one in acme.calls):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_a_polled_source_waits_for_its_account_and_misses_nothing(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(log("seen"), action="acme.new_note", account_id=account)

    async def look() -> None:
        await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", area.hook_id)
        await polling.tick(world.platform, ("poll",))

    await look()  # the baseline
    acme.auth.withdraw()
    acme.notes.append({"id": "7", "text": "while nobody could look"})
    await look()
    hook = await world.pool.fetchrow(
        "SELECT status, last_error, next_due_at > now() + interval '10 seconds' AS waits FROM hooks WHERE id = $1",
        area.hook_id,
    )
    assert (hook["status"], hook["waits"]) == ("broken", True)
    assert "has to be connected again" in hook["last_error"]
    await reconnect(world, acme, account)
    await polling.tick(world.platform, ("poll",))
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", area.id) == 1
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", area.hook_id) == "active"


async def test_two_users_accounts_never_share_a_hook_and_two_areas_of_one_account_do(world: World, acme: Acme) -> None:
    mine = await connected(world.platform, acme, world.user)
    other = await connected(world.platform, acme, world.user, acme.users[1])
    areas = [await world.area(log("x"), action="acme.new_note", account_id=one) for one in (mine, mine, other)]
    hooks = [area.hook_id for area in areas]
    assert hooks[0] == hooks[1] != hooks[2]
    owners = await world.pool.fetch("SELECT id, account_id FROM hooks WHERE id = ANY($1::uuid[])", hooks)
    assert {row["id"]: row["account_id"] for row in owners} == {hooks[0]: mine, hooks[2]: other}


async def test_an_area_is_started_when_an_account_dies_once_for_each_death(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    stopped = await world.area(note(account))
    watcher = await world.area(
        log("tell", "{{ trigger.label }} at {{ trigger.service }}: {{ trigger.reason }}; stops {{ trigger.areas[0] }}"),
        action="account.needs_reconnect",
    )

    async def look() -> int:
        await world.pool.execute(
            "UPDATE hooks SET next_due_at = now(), lease_until = NULL WHERE id = $1", watcher.hook_id
        )
        await polling.tick(world.platform, ("manual",))
        found: int = await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", watcher.id)
        return found

    assert await look() == 0
    acme.auth.withdraw()
    await world.happen(stopped, {})
    assert [await look(), await look()] == [1, 1]
    run = await world.run_of(watcher)
    await world.execute(run)
    output = (await world.steps(run))["tell"]["output"]["message"]
    assert output == "ada at acme: invalid_grant: The refresh token is revoked or unknown; stops Test"
    await reconnect(world, acme, account)
    assert await look() == 1
    await world.pool.execute("UPDATE connected_accounts SET died_at = NULL WHERE id = $1", account)
    acme.auth.withdraw()
    await world.platform.accounts.gone("acme", acme.users[0].id, "Acme says so")
    await world.pool.execute(
        "UPDATE connected_accounts SET died_at = died_at + interval '2 seconds' WHERE id = $1", account
    )
    assert await look() == 2


async def test_a_death_before_the_first_look_is_told(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    watcher = await world.area(log("tell"), action="account.needs_reconnect")
    await world.platform.accounts.gone("acme", acme.users[0].id, "Acme says so")
    assert await column(world.platform, account, "status") == "needs_reconnect"
    await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", watcher.hook_id)
    await polling.tick(world.platform, ("manual",))
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", watcher.id) == 1


async def test_an_area_that_was_made_later_does_not_hear_of_old_deaths(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    await world.platform.accounts.gone("acme", acme.users[0].id, "Acme says so")
    watcher = await world.area(log("tell"), action="account.needs_reconnect")
    for _ in range(2):
        await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", watcher.hook_id)
        await polling.tick(world.platform, ("manual",))
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", watcher.id) == 0
    assert await column(world.platform, account, "status") == "needs_reconnect"


async def due(world: World, account: UUID) -> None:
    await world.pool.execute("UPDATE connected_accounts SET check_at = NULL WHERE id <> $1", account)
    await world.pool.execute("UPDATE connected_accounts SET check_at = now() WHERE id = $1", account)


async def test_accounts_are_validated_as_often_as_their_service_demands(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    await due(world, account)
    assert await world.platform.accounts.check_due() == 1
    assert len(acme.asked("GET", "/v1/me")) == 1
    assert await column(
        world.platform, account, "check_at BETWEEN now() + interval '59 minutes' AND now() + interval '61 minutes'"
    )
    assert await world.platform.accounts.check_due() == 0


async def test_a_validation_finds_a_dead_account_and_a_hiccup_does_not_make_one(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    await due(world, account)
    acme.next(Fault(status=503), "GET /v1/me")
    await world.platform.accounts.check_due()
    assert await column(world.platform, account, "status") == "active"
    assert await column(world.platform, account, "check_at < now() + interval '6 minutes'")
    acme.auth.withdraw()
    await due(world, account)
    await world.platform.accounts.check_due()
    assert await column(world.platform, account, "status") == "needs_reconnect"


async def test_accounts_that_were_connected_before_their_service_was_validated_are_too(
    world: World, acme: Acme
) -> None:
    account = await connected(world.platform, acme, world.user)
    await world.pool.execute(
        "UPDATE connected_accounts SET check_at = NULL, expires_at = now() + interval '3 days' WHERE id = $1", account
    )
    await world.platform.accounts.tidy()
    assert await column(world.platform, account, "check_at <= now()")
    assert await column(world.platform, account, "status") == "expiring"
    # Its consent ends soon; until then it works.
    area = await world.area(note(account))
    assert await world.status(await world.happen(area, {})) == "succeeded"


async def test_a_provider_that_says_an_account_is_gone_is_believed_for_all_its_users(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    other = await connected(world.platform, acme, world.user, acme.users[1])
    await world.platform.accounts.gone("acme", acme.users[0].id, "Acme says so")
    assert await column(world.platform, account, "status || last_error") == "needs_reconnectAcme says so"
    assert await column(world.platform, other, "status") == "active"


async def test_a_throttled_account_is_not_called_and_burns_no_attempt(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(note(account))
    acme.next(Fault(status=429, headers={"Retry-After": "120"}), "POST /v1/notes")
    first = await world.happen(area, {"n": 1})
    calls = len(acme.calls)
    second = await world.happen(area, {"n": 2})
    assert len(acme.calls) == calls
    for run in (first, second):
        step = (await world.steps(run))["note"]
        assert (await world.status(run), step["status"], step["attempt"]) == ("waiting", "waiting", 0)
        assert await world.pool.fetchval("SELECT due_at > now() + interval '110 seconds' FROM runs WHERE id = $1", run)


async def test_no_secret_is_in_any_log_event_or_step(
    settings: Settings, acme: Acme, user: UUID, lines: StringIO
) -> None:
    stored, secrets = await _a_life_with_troubles(settings, acme, user)
    logged = lines.getvalue()
    told = "".join(str(tuple(row)) for rows in stored for row in rows) + logged
    assert "account.died" in logged
    for secret in secrets:
        assert secret not in told


async def _a_life_with_troubles(settings: Settings, acme: Acme, user: UUID) -> tuple[list[Any], list[str]]:
    async with platform_with(settings, acme.environment()) as platform:
        world = World(platform, user)
        account = await connected(platform, acme, user)
        area = await world.area(note(account))
        acme.next(Fault(status=500), "/oauth2/token")
        await ends_in(platform, account, -1)
        await world.happen(area, {"n": 1})
        await platform.db.pool.execute("UPDATE connected_accounts SET retry_at = NULL WHERE id = $1", account)
        await world.happen(area, {"n": 2})
        acme.auth.withdraw()
        await world.happen(area, {"n": 3})
        await platform.accounts.disconnect(user, account)
        secrets = [token for grant in acme.auth.grants for token in (*grant.access, *grant.refresh)]
        secrets += acme.auth.spent
        assert len(secrets) == 4
        tables = ("run_events", "run_steps", "runs", "hooks", "events", "deliveries", "connected_accounts")
        stored = [await platform.db.pool.fetch(f'SELECT * FROM "{table}"') for table in tables]
    return stored, [*secrets, acme.auth.client_secret]


async def test_the_executor_does_not_keep_a_slot_for_a_held_run(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(note(account))
    acme.auth.withdraw()
    executor: Executor = world.platform.executor()
    await world.fire(area, {})
    run = await world.run_of(area)
    await executor.execute([run])
    assert await world.status(run) == "held"
    assert executor._active == {}
