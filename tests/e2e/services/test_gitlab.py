"""GitLab through the engine: webhooks that come and go with AREAs, deliveries with their secret, and what is written, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from area.core.errors import InvalidInput, NotFound
from area.core.settings import Settings
from area.db.models import Area
from area.engine import polling
from area.engine.areas import ReactionDraft
from area.engine.subscriptions import disconnect
from area.nodes._forges import MARK
from tests.contract.test_gitlab import audit
from tests.e2e.services.stories import Heard
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.gitlab import API, DEVELOPER, PAT, READ_USER, SECOND, SITE, GitLab, Project, push
from tests.providers.signing import shared_token

PUSH, ISSUE, MERGE, PIPELINE = "gitlab.push", "gitlab.issue", "gitlab.merge_request", "gitlab.pipeline"
CREATE, SAY, START = "gitlab.create_issue", "gitlab.comment_on", "gitlab.trigger_pipeline"
PLACE = f"/api/v4/projects/{SITE}"
OPENS, STARTS = f"POST {PLACE}/issues", f"POST {PLACE}/pipeline"


class Story(Heard[GitLab]):
    """One user's AREAs, and two projects."""

    @property
    def site(self) -> Project:
        return self.there.projects[SITE]

    async def listening(self, account: UUID, *reactions: ReactionDraft, action: str = PUSH, **config: Any) -> Area:
        """An AREA whose webhook is there."""
        return await self.from_now(account, action, *reactions, **{"project": SITE, **config})

    def titles(self) -> list[str]:
        return [issue["title"] for issue in self.site.issues]


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = GitLab()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    audit(there)


def step(account: UUID, reaction: str, key: str = "", **config: Any) -> ReactionDraft:
    key = key or reaction.partition(".")[2]
    return ReactionDraft(reaction, {"project": SITE, **config}, key=key, account_id=account)


def told(account: UUID) -> ReactionDraft:
    return step(
        account, CREATE, title="{{ trigger.sender_name }}: {{ trigger.message }}", body="On {{ trigger.branch }}"
    )


async def test_a_push_becomes_an_issue_a_comment_and_a_pipeline_once(story: Story) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    area = await story.listening(
        account,
        told(account),
        step(account, SAY, number="{{ steps.create_issue.number }}", body="{{ trigger.author }}\n/close\n@ada: См."),
        step(account, START, ref="{{ trigger.branch }}", variables={"COMMIT": "{{ trigger.after }}"}),
        branch="main",
    )
    ((_, hook),) = story.site.hooks.items()
    assert [flag for flag, on in hook.items() if on is True] == ["push_events", "enable_ssl_verification"]
    message = "Дверь 🚪 & <b>"
    for _ in range(2):  # a repetition keeps its key
        await story.there.pushed(message, key="f5e57a2f-5b6e-4f0a-9c1f-0a0b0c0d0e0f")
    await story.there.pushed("elsewhere", branch="mend/door")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded"
    (issue,) = story.site.issues
    assert (issue["title"], issue["description"]) == (f"Grace Hopper: {message}", f"On main\n\n{MARK}")
    ((place, (note,)),) = story.site.notes.items()
    assert (place, note["body"]) == (("issues", 1), f"Grace Hopper\n\u2060/close\n@\u2060ada: См.\n\n{MARK}")
    assert (issue["state"], story.there.carried_out) == ("opened", [])
    assert [one["ref"] for one in story.site.pipelines] == ["main"]
    assert list(story.site.variables.values()) == [[{"key": "COMMIT", "value": "b" * 40}]]
    await story.gone(area)
    assert story.site.hooks == {}


async def test_a_failed_pipeline_and_a_merge_request_are_answered_where_they_are(story: Story) -> None:
    account = await story.connect("gitlab", PIPELINE, MERGE, SAY)
    failed = step(account, CREATE, title="{{ trigger.branch }}: {{ trigger.failed_jobs | join: ', ' }}", labels=["bug"])
    broken = await story.listening(account, failed, action=PIPELINE, statuses=["failed"])
    thanks = step(
        account, SAY, under="merge_request", number="{{ trigger.number }}", body="Thank you for {{ trigger.source }}."
    )
    merges = await story.listening(account, thanks, action=MERGE)
    await story.there.finished("success")
    await story.there.finished("failed")
    await story.there.proposed("Mend")
    assert [len(await story.runs(area)) for area in (broken, merges)] == [1, 1]
    assert [(issue["title"], issue["labels"]) for issue in story.site.issues] == [("main: tests", ["bug"])]
    assert story.site.notes["merge_requests", 1][0]["body"] == f"Thank you for mend/door.\n\n{MARK}"


async def test_the_webhook_goes_with_its_last_area_and_comes_back_when_it_was_removed_or_given_up(story: Story) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    first, second = [await story.listening(account, told(account)) for _ in range(2)]
    (key,) = story.site.hooks
    await story.there.pushed("1")
    assert [len(await story.runs(area)) for area in (first, second)] == [1, 1]
    await story.gone(first)
    assert list(story.site.hooks) == [key]
    story.site.hooks.clear()
    await story.look(second)
    ((key, hook),) = story.site.hooks.items()
    hook["alert_status"] = "disabled"
    assert await story.there.pushed("lost") == []
    await story.look(second)
    ((renewed, hook),) = story.site.hooks.items()
    assert (renewed == key, hook["alert_status"]) == (False, "executable")
    await story.there.pushed("2")
    assert len(await story.runs(second)) == 2
    assert [title[-1] for title in story.titles()] == ["1", "1", "2"]
    await story.gone(second)
    assert story.site.hooks == {}


async def test_what_is_forged_or_no_delivery_starts_nothing(story: Story) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    area = await story.listening(account, told(account))
    ((_, hook),) = story.site.hooks.items()
    url, good = hook["url"], shared_token(hook["token"], "X-Gitlab-Token")
    headers = {"X-Gitlab-Event": "Push Hook", "Idempotency-Key": "1"}
    body = {"object_kind": "push", **push("x", "main", story.there.users[1])}
    for sent, sign, wanted in (
        (body, shared_token("guessed", "X-Gitlab-Token"), 401),
        (body, shared_token(hook["token"][:-1], "X-Gitlab-Token"), 401),
        (body, None, 401),
        (b"<html>", good, 400),
        (b'{"object_kind": "push", "a": "' + b"x" * (30 << 20) + b'"}', good, 413),
    ):
        await story.there.deliver(url, sent, sign=sign, headers=headers, expects=wanted)
    for sent in ([], {"object_kind": "push"}, {"object_kind": "tag_push", "ref": "refs/tags/v1"}):
        await story.there.deliver(url, sent, sign=good, headers=headers)
    assert await story.runs(area) == []
    await story.there.pushed("real")
    assert len(await story.runs(area)) == 1


async def test_an_area_that_answers_issues_with_issues_does_not_answer_itself(story: Story) -> None:
    account = await story.connect("gitlab", ISSUE, CREATE)
    area = await story.listening(account, step(account, CREATE, title="Re: {{ trigger.title }}"), action=ISSUE)
    await story.there.opened("x")
    assert len(await story.runs(area)) == 1
    await story.there.issue_is("open", story.site.issues[-1])
    assert len(await story.runs(area)) == 1
    assert story.titles() == ["x", "Re: x"]


HTML = Fault(status=200, body="<h1>Sign in</h1>", headers={"content-type": "text/html"})
LIMIT = Fault(status=429, body="Retry later", headers={"retry-after": "60"})


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault(status=500), "UNAVAILABLE"), (LIMIT, "THROTTLED")], ids=["down", "limit"]
)
async def test_a_refusal_that_passes_is_waited_out(story: Story, fault: Fault, code: str) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.pushed("once")
    story.there.next(fault, OPENS)
    (run,) = await story.runs(area)
    found = (await story.steps(run))["create_issue"]
    assert (found["status"], found["error"]["code"], story.titles()) == ("waiting", code, [])
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.titles()) == ("succeeded", ["Grace Hopper: once"])


@pytest.mark.parametrize(
    ("fault", "status", "state", "started"),
    [(Fault(lose=True), "succeeded", "succeeded", 1), (HTML, "held", "unknown", 0)],
    ids=["answer lost", "html"],
)
async def test_what_may_have_been_started_is_asked_for_or_left_to_a_person(
    story: Story, fault: Fault, status: str, state: str, started: int
) -> None:
    account = await story.connect("gitlab", PUSH, START)
    area = await story.listening(account, step(account, START, ref="main", variables={"AT": "{{ trigger.after }}"}))
    await story.there.pushed("once")
    story.there.next(fault, STARTS)
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["trigger_pipeline"]["status"]) == (status, state)
    assert len(story.site.pipelines) == started


@pytest.mark.parametrize("arrived", [True, False], ids=["written", "not written"])
async def test_a_worker_that_dies_when_the_issue_is_written_writes_one(story: Story, arrived: bool) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.pushed("once")
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), OPENS)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while not story.there.asked("POST", f"{PLACE}/issues"):  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    (call,) = story.there.asked("POST", f"{PLACE}/issues")
    if arrived:
        call.grant = story.there.auth.grants[-1]
        await story.there.open(call, story.site)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    story.there.release()
    await story.expire_lease(run)
    await story.execute(run)
    assert (await story.status(run), story.titles()) == ("succeeded", ["Grace Hopper: once"])
    assert (await story.steps(run))["create_issue"]["output"]["number"] == 1


async def test_what_is_gone_fails_in_words_and_is_not_tried_again(story: Story) -> None:
    account = await story.connect("gitlab", PUSH, SAY)
    area = await story.listening(account, step(account, SAY, number=99, body="x"))
    await story.there.pushed("x")
    (run,) = await story.runs(area)
    failed = (await story.steps(run))["comment_on"]["error"]
    assert (await story.status(run), failed["code"]) == ("failed", "NOT_FOUND")
    assert "the account may not see it" in failed["message"]
    assert len(story.there.asked("POST", f"{PLACE}/issues/99/notes")) == 1


async def test_scopes_grow_with_what_is_asked_for_and_tokens_rotate(story: Story) -> None:
    account = await story.connect("gitlab", who="grace")
    row = await story.row(account)
    assert (row["external_id"], row["label"], set(row["scopes"])) == ("1002", "grace", {READ_USER})
    asked = story.there.asked("GET", "/oauth/authorize")[0].query
    assert (asked["scope"], asked["code_challenge_method"]) == (READ_USER, "S256")
    assert await story.connect("gitlab", PUSH, CREATE, who="grace") == account
    assert set((await story.row(account))["scopes"]) == {API, READ_USER}
    area = await story.listening(account, told(account))
    for number in (1, 2):
        story.there.auth.expire()
        await story.there.pushed(str(number))
        assert len(await story.runs(area)) == number
    assert story.titles() == ["Grace Hopper: 1", "Grace Hopper: 2"]
    assert (story.there.auth.refreshes, story.there.auth.reuses) == (2, 0)
    await story.platform.accounts.disconnect(story.user, account)
    assert len(story.there.asked("POST", "/oauth/revoke")) == 1
    assert story.there.auth.grants[-1].withdrawn


async def test_an_access_token_does_as_well_and_a_dead_one_is_not_kept(story: Story) -> None:
    with pytest.raises(InvalidInput, match="GitLab does not accept this"):
        await story.platform.keys.connect(story.user, "gitlab", {"token": "glpat-" + "x" * 20})
    account = await story.platform.keys.connect(story.user, "gitlab", {"token": PAT})
    assert (await story.row(account))["label"] == "grace"
    area = await story.listening(account, told(account))
    await story.there.pushed("by token")
    (run,) = await story.runs(area)
    assert (await story.status(run), story.titles()) == ("succeeded", ["Grace Hopper: by token"])


async def test_a_consent_that_was_taken_back_holds_the_run_until_it_is_given_again(story: Story) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.pushed("later")
    run = await story.run_of(area)
    story.there.auth.withdraw(story.there.users[0])
    await story.execute(run)
    assert (await story.status(run), (await story.row(account))["status"]) == ("held", "needs_reconnect")
    assert await story.connect("gitlab", PUSH, CREATE) == account
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.titles()) == ("succeeded", ["Grace Hopper: later"])


async def test_a_project_that_may_not_be_watched_is_told_at_its_source(story: Story) -> None:
    account = await story.connect("gitlab", ISSUE, SAY)
    story.there.projects[SECOND].role = DEVELOPER
    for path, words in (("ada/nothing", "There is no such project"), (SECOND, "make it a Maintainer")):
        draft = step(account, SAY, number=1, body="x")
        with pytest.raises(AssertionError, match=words):
            await story.look(await story.area(draft, action=ISSUE, account_id=account, config={"project": path}))


async def test_who_disconnects_is_not_delivered_to_any_more_until_he_is_back(story: Story) -> None:
    account = await story.connect("gitlab", PUSH, CREATE)
    area = await story.listening(account, told(account))
    asked = step(account, CREATE, title="{{ trigger.title }}")
    merged = await story.area(asked, action=MERGE, account_id=account, config={"project": SITE})
    await story.look(merged)
    assert len(story.site.hooks) == 2

    await disconnect(story.platform, story.user, account)
    assert story.site.hooks == {}
    await polling.tick(story.platform)
    states = await story.pool.fetch(
        "SELECT status, failure ->> 'code' AS code FROM hooks WHERE account_id = $1", account
    )
    assert [tuple(state) for state in states] == [("broken", "ACCOUNT_DISCONNECTED")] * 2

    assert await story.connect("gitlab", PUSH, CREATE) == account
    await polling.tick(story.platform)
    assert len(story.site.hooks) == 2
    await story.there.pushed("back")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded"


async def test_a_provider_that_is_down_does_not_keep_anybody_subscribed_here(story: Story) -> None:
    account = await story.connect("gitlab", PUSH)
    await story.listening(account, told(account))
    story.there.next(Fault(status=500), "DELETE")
    await disconnect(story.platform, story.user, account)
    assert await story.pool.fetchval("SELECT remote_id FROM hooks WHERE account_id = $1", account) is None
    assert (await story.row(account))["status"] == "revoked"
    with pytest.raises(NotFound):
        await disconnect(story.platform, story.user, account)


async def test_nobody_ends_what_another_is_subscribed_to(story: Story) -> None:
    account = await story.connect("gitlab", PUSH)
    await story.listening(account, told(account))
    with pytest.raises(NotFound):
        await disconnect(story.platform, uuid4(), account)
    assert len(story.site.hooks) == 1
