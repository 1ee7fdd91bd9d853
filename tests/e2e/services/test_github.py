"""GitHub through the engine: webhooks that come and go with their AREAs, signed deliveries, and what is then written, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from area.nodes._forges import MARK
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.contract.test_github import BEYOND
from tests.e2e.services.stories import Heard
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.github import HIDDEN, HOOKS, REPO, SITE, GitHub, Repository
from tests.providers.signing import hmac_body

PUSH, ISSUE, COMMENT, STAR = "github.push", "github.issue", "github.comment", "github.star"
CREATE, SAY, LABEL = "github.create_issue", "github.comment_on", "github.add_labels"
FILE, START = "github.create_file", "github.dispatch_workflow"


class Story(Heard[GitHub]):
    """One user's AREAs, and two repositories."""

    @property
    def site(self) -> Repository:
        return self.there.repositories[SITE]

    async def listening(self, account: UUID, *reactions: ReactionDraft, action: str = PUSH, **config: Any) -> Area:
        """An AREA whose webhook is there."""
        return await self.from_now(account, action, *reactions, **{"repository": SITE, **config})

    def titles(self) -> list[str]:
        return [issue["title"] for issue in self.site.issues]


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = GitHub()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        Contract("github", BEYOND).audit(there)


def step(account: UUID, reaction: str, key: str = "", **config: Any) -> ReactionDraft:
    key = key or reaction.partition(".")[2]
    return ReactionDraft(reaction, {"repository": SITE, **config}, key=key, account_id=account)


def told(account: UUID) -> ReactionDraft:
    return step(account, CREATE, title="{{ trigger.author }}: {{ trigger.message }}", body="On {{ trigger.branch }}")


async def test_a_push_becomes_an_issue_a_comment_labels_a_file_and_a_workflow_once(story: Story) -> None:
    account = await story.connect("github", PUSH, CREATE)
    number = "{{ steps.create_issue.number }}"
    area = await story.listening(
        account,
        told(account),
        step(account, SAY, number=number, body="См. {{ trigger.url }} @ada"),
        step(account, LABEL, number=number, labels=["дверь 🚪"]),
        step(account, FILE, path="log/{{ trigger.branch }}.md", content="{{ trigger.message }}", message="Лог"),
        step(account, START, workflow="deploy.yml", ref="{{ trigger.branch }}"),
        branch="main",
    )
    ((_, hook),) = story.site.hooks.items()
    assert (hook["events"], hook["config"]["content_type"]) == (["push"], "json")
    assert [answer.status_code for answer in await story.there.ping()] == [202]
    assert await story.runs(area) == [], "the ping starts nothing"
    body = "Дверь 🚪 & <b>"
    for _ in range(2):  # a manual redelivery keeps its id
        await story.there.happens(SITE, "push", pushed(body), delivery="72d3162e")
    await story.there.pushed("elsewhere", branch="mend/door")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded"
    (issue,) = story.site.issues
    assert (issue["title"], issue["body"]) == (f"Grace Hopper: {body}", f"On main\n\n{MARK}")
    assert [label["name"] for label in issue["labels"]] == ["дверь 🚪"]
    assert story.site.comments[1][0]["body"].startswith("См. https://github.com/ada/site/compare/a...b @\u2060ada")
    assert story.site.files == {("main", "log/main.md"): body.encode()}
    assert story.site.started == [{"ref": "main"}]
    await story.gone(area)
    assert story.site.hooks == {}


def pushed(message: str) -> dict[str, Any]:
    commit = {"message": message, "author": {"name": "Grace Hopper"}}
    url = "https://github.com/ada/site/compare/a...b"
    return {"ref": "refs/heads/main", "after": "b" * 40, "commits": [commit], "head_commit": commit, "compare": url}


async def test_the_webhook_goes_with_its_last_area_and_comes_back_when_it_was_removed(story: Story) -> None:
    account = await story.connect("github", STAR, CREATE)
    say = step(account, CREATE, title="{{ trigger.stars }} ★")
    first = await story.listening(account, say, action=STAR)
    second = await story.listening(account, say, action=STAR)
    (key,) = story.site.hooks
    await story.there.starred()
    assert [len(await story.runs(area)) for area in (first, second)] == [1, 1]
    await story.gone(first)
    assert list(story.site.hooks) == [key]
    story.site.hooks.clear()
    await story.look(second)
    assert [hook["events"] for hook in story.site.hooks.values()] == [["star"]]
    await story.there.starred()
    assert len(await story.runs(second)) == 2
    assert story.titles() == ["1 ★", "1 ★", "2 ★"]
    await story.gone(second)
    assert story.site.hooks == {}
    assert await story.there.starred() == []


async def test_what_is_forged_changed_or_no_delivery_starts_nothing(story: Story) -> None:
    account = await story.connect("github", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.ping()
    ((_, hook),) = story.site.hooks.items()
    url, good = hook["config"]["url"], hmac_body(hook["config"]["secret"], "X-Hub-Signature-256")
    headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "1"}
    for sent, sign, wanted in (
        (pushed("x"), hmac_body("guessed", "X-Hub-Signature-256"), 401),
        (pushed("x"), None, 401),
        (b"<html>", good, 400),
        (b'{"ref": "refs/heads/main", "a": "' + b"x" * (30 << 20) + b'"}', good, 413),
    ):
        await story.there.deliver(url, sent, sign=sign, headers=headers, expects=wanted)
    await story.there.deliver(url, [], sign=good, headers=headers)
    assert await story.runs(area) == []
    await story.there.pushed("real")
    assert len(await story.runs(area)) == 1


async def test_an_area_that_answers_comments_does_not_answer_itself(story: Story) -> None:
    account = await story.connect("github", COMMENT, SAY)
    area = await story.listening(
        account, step(account, SAY, number="{{ trigger.number }}", body="Danke, {{ trigger.author }}!"), action=COMMENT
    )
    issue = story.there._new_issue(story.site, story.there.users[1], {"title": "x"})
    said = {**issue, "id": 5, "body": "Thanks", "html_url": "https://github.com/x"}
    await story.there.happens(SITE, "issue_comment", {"action": "created", "issue": issue, "comment": said})
    assert len(await story.runs(area)) == 1
    assert story.site.comments[1][0]["body"] == f"Danke, grace!\n\n{MARK}"
    await story.there.commented(issue)
    assert len(await story.runs(area)) == 1


HTML = Fault(status=200, body="<h1>Unicorn!</h1>", headers={"content-type": "text/html"})
LIMIT = Fault(status=403, body={"message": "You have exceeded a secondary rate limit."})
OPENS = f"POST /repos/{SITE}/issues"


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault(status=500), "UNAVAILABLE"), (LIMIT, "THROTTLED")], ids=["down", "limit"]
)
async def test_a_refusal_that_passes_is_waited_out(story: Story, fault: Fault, code: str) -> None:
    account = await story.connect("github", PUSH, CREATE)
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
    ("fault", "status", "step", "written"),
    [(Fault(lose=True), "succeeded", "succeeded", 1), (HTML, "held", "unknown", 0)],
    ids=["answer lost", "html"],
)
async def test_what_may_have_been_written_is_asked_for_or_left_to_a_person(
    story: Story, fault: Fault, status: str, step: str, written: int
) -> None:
    account = await story.connect("github", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.pushed("once")
    story.there.next(fault, OPENS)
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["create_issue"]["status"]) == (status, step)
    assert story.titles() == ["Grace Hopper: once"] * written


async def test_an_answer_of_10_mb_is_not_read(story: Story) -> None:
    account = await story.connect("github", PUSH, FILE)
    area = await story.listening(account, step(account, FILE, path="a.md", content="x", message="m"))
    await story.there.pushed("x")
    story.there.next(Fault(size=10 << 20), "GET /repos/ada/site/contents")
    (run,) = await story.runs(area)
    found = (await story.steps(run))["create_file"]
    assert (found["status"], found["error"]["code"], story.site.files) == ("failed", "RESPONSE_TOO_LARGE", {})


@pytest.mark.parametrize("arrived", [True, False], ids=["written", "not written"])
async def test_a_worker_that_dies_when_the_issue_is_written_writes_one(story: Story, arrived: bool) -> None:
    account = await story.connect("github", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.pushed("once")
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), OPENS)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while not story.there.asked("POST", f"/repos/{SITE}/issues"):  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    (call,) = story.there.asked("POST", f"/repos/{SITE}/issues")
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
    account = await story.connect("github", PUSH, SAY)
    area = await story.listening(account, step(account, SAY, number=99, body="x"))
    await story.there.pushed("x")
    (run,) = await story.runs(area)
    failed = (await story.steps(run))["comment_on"]["error"]
    assert (await story.status(run), failed["code"]) == ("failed", "NOT_FOUND")
    assert "the account may not see it" in failed["message"]
    assert len(story.there.asked("POST", f"/repos/{SITE}/issues/99/comments")) == 1


async def test_scopes_come_by_comma_and_grow_with_what_is_asked_for(story: Story) -> None:
    account = await story.connect("github", PUSH, who="grace")
    row = await story.row(account)
    assert (row["external_id"], row["label"], set(row["scopes"])) == ("1002", "grace", {HOOKS})
    asked = story.there.asked("GET", "/login/oauth/authorize")[0].query
    assert (asked["scope"], asked["code_challenge_method"]) == (HOOKS, "S256")
    assert await story.connect("github", PUSH, CREATE, who="grace") == account
    assert REPO in (await story.row(account))["scopes"]
    await story.platform.accounts.disconnect(story.user, account)
    assert [call.answer and call.answer[0] for call in story.there.calls if call.method == "DELETE"] == [204]


async def test_a_consent_that_was_taken_back_holds_the_run_until_it_is_given_again(story: Story) -> None:
    account = await story.connect("github", PUSH, CREATE)
    area = await story.listening(account, told(account))
    await story.there.pushed("later")
    run = await story.run_of(area)
    story.there.auth.withdraw(story.there.users[0])
    await story.execute(run)
    assert (await story.status(run), (await story.row(account))["status"]) == ("held", "needs_reconnect")
    assert await story.connect("github", PUSH, CREATE) == account
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.titles()) == ("succeeded", ["Grace Hopper: later"])


async def test_a_repository_that_may_not_be_watched_is_told_at_its_source(story: Story) -> None:
    account = await story.connect("github", ISSUE, SAY)
    story.there.repositories[HIDDEN].moved = True
    draft = {"action": ISSUE, "account_id": account}
    for name, words in (("ada/nothing", "may not add webhooks"), (HIDDEN, "renamed or moved")):
        with pytest.raises(AssertionError, match=words):
            await story.look(
                await story.area(step(account, SAY, number=1, body="x"), config={"repository": name}, **draft)
            )
