"""GitHub: what fires and what does not, what is written and how, what failures mean, and that nothing is written twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes._forges import MARK
from area.nodes.github import code, files, issues, service, talk, workflows
from area.nodes.github.provider import HOOKS, REPO, Gone, read_grant
from area.nodes.github.repositories import (
    assignee_choices,
    branch_choices,
    label_choices,
    repository_choices,
    workflow_choices,
    workflow_name_choices,
)
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.github_wire import delivery, wired
from tests.providers.calls import Fault
from tests.providers.github import HIDDEN, SITE, GitHub, Repository

HOOK = sdk.Hook("h1", "https://area.example/hooks/token", "s" * 64)
PLACE = f"/repos/{SITE}"
IN = {"repository": SITE}
AROUND = {"repository": {"full_name": SITE, "stargazers_count": 7}, "sender": {"login": "grace"}}
HTML = Fault(status=200, body="<h1>Unicorn!</h1>", headers={"content-type": "text/html"})


@pytest.fixture
def there() -> GitHub:
    return GitHub()


@pytest.fixture
def site(there: GitHub) -> Repository:
    return there.repositories[SITE]


@pytest.fixture
def ctx(there: GitHub) -> FakeContext:
    return wired(there)


def fires(action: sdk.Action, event: str, body: Any, **where: Any) -> Any:
    return action.fn(action.inputs.model_validate({**IN, **where}), delivery(event, {**AROUND, **body}))


# What fires

PUSHED = {
    "ref": "refs/heads/mend/door",
    "before": "a" * 40,
    "after": "b" * 40,
    "forced": True,
    "commits": [{}, {}],
    "head_commit": {"message": "Дверь 🚪\n\nIt squeaked.", "author": {"name": "Ada Lovelace"}},
    "compare": "https://github.com/ada/site/compare/a...b",
}


def test_a_push_is_told_and_of_tags_other_branches_and_deletions_nothing() -> None:
    found = fires(code.push, "push", PUSHED, branch="mend/door")
    assert found.model_dump() == {
        "repository": SITE,
        "sender": "grace",
        "branch": "mend/door",
        "before": "a" * 40,
        "after": "b" * 40,
        "created": False,
        "forced": True,
        "message": "Дверь 🚪\n\nIt squeaked.",
        "commits": 2,
        "author": "Ada Lovelace",
        "url": "https://github.com/ada/site/compare/a...b",
    }
    assert fires(code.push, "push", PUSHED, branch="main") is None
    assert fires(code.push, "push", {**PUSHED, "ref": "refs/tags/v1"}) is None
    assert fires(code.push, "push", {**PUSHED, "deleted": True, "head_commit": None}) is None


def test_a_pull_request_is_closed_or_merged_and_a_review_has_a_verdict() -> None:
    pull = {"number": 2, "title": "Mend", "head": {"ref": "mend"}, "base": {"ref": "main"}, "user": {"login": "grace"}}
    merged = {"action": "closed", "pull_request": {**pull, "merged": True}}
    closed = {"action": "closed", "pull_request": {**pull, "merged": False}}
    told = fires(talk.pull_request, "pull_request", merged, changes=["merged"])
    assert (told.action, told.merged, told.source, told.target, told.number) == ("merged", True, "mend", "main", 2)
    assert fires(talk.pull_request, "pull_request", closed, changes=["merged"]) is None
    assert fires(talk.pull_request, "pull_request", merged, changes=["closed"]) is None
    assert fires(talk.pull_request, "pull_request", closed, changes=["closed"]).action == "closed"
    review = {"action": "submitted", "review": {"state": "APPROVED", "body": None}, "pull_request": pull}
    assert fires(talk.review, "pull_request_review", review).verdict == "approved"
    assert fires(talk.review, "pull_request_review", review, verdicts=["commented"]) is None


def test_what_is_released_starred_and_built_is_told_as_it_is_filtered() -> None:
    release = {"action": "published", "release": {"id": 5, "tag_name": "v1", "name": None, "prerelease": True}}
    assert fires(code.release, "release", release).name == "v1"
    assert fires(code.release, "release", release, prereleases=False) is None
    assert fires(code.release, "release", {**release, "action": "created"}) is None
    assert fires(code.star, "star", {"action": "created"}).stars == 7
    assert fires(code.star, "star", {"action": "deleted"}) is None
    run = {"id": 9, "name": "", "conclusion": "failure", "head_branch": "main"}
    ended = {"action": "completed", "workflow_run": run, "workflow": {"name": "CI"}}
    told = fires(code.workflow_run, "workflow_run", ended, workflow="CI", branch="main")
    assert (told.name, told.conclusion, told.attempt) == ("CI", "failure", 1)
    for other in ({"workflow": "Deploy"}, {"branch": "dev"}, {"conclusions": ["success"]}):
        assert fires(code.workflow_run, "workflow_run", ended, **other) is None


def test_a_comment_fires_for_its_words_and_for_no_area_unless_it_is_wanted() -> None:
    def said(body: str | None) -> dict[str, Any]:
        return {"action": "created", "comment": {"body": body, "id": 1}, "issue": {"number": 3, "pull_request": {}}}

    told = fires(talk.comment, "issue_comment", said("Bitte /DEPLOY ẞ"), contains="/deploy ß")
    assert (told.number, told.on_pull_request) == (3, True)
    assert fires(talk.comment, "issue_comment", said(None), contains="/deploy") is None
    own = said(f"/deploy\n\n{MARK}")
    assert fires(talk.comment, "issue_comment", own) is None
    assert fires(talk.comment, "issue_comment", own, from_areas=True).body.startswith("/deploy")
    opened = {"action": "opened", "issue": {"number": 3, "title": "x", "body": MARK}}
    assert fires(talk.issue, "issues", opened) is None
    assert fires(talk.issue, "issues", opened, from_areas=True).number == 3
    labelled = {**opened, "action": "labeled", "label": {"name": "дверь"}}
    assert fires(talk.issue, "issues", labelled, changes=["labeled"]).label == "дверь"


def test_a_ping_another_event_and_long_texts_do_no_harm() -> None:
    for action in service.actions.values():
        assert fires(action, "ping", {"zen": "Design for failure.", "hook_id": 5}) is None
    body = {"action": "opened", "issue": {"number": 1, "body": "é" * 70_000, "labels": [None, {"name": "bug"}]}}
    told = fires(talk.issue, "issues", body)
    assert (len(told.body), told.labels) == (10_000, ["bug"])


# Webhooks


async def test_a_webhook_is_made_taken_over_and_removed(there: GitHub, site: Repository, ctx: FakeContext) -> None:
    node, where = code.push, code.OnBranch(repository="https://github.com/ada/site.git")
    assert node.subscriber
    assert node.still_there
    assert node.unsubscriber
    made = await node.subscriber(ctx, where, HOOK)
    ((key, kept),) = site.hooks.items()
    assert (made.remote_id, kept) == (
        str(key),
        {
            "active": True,
            "events": ["push"],
            "config": {"url": HOOK.url, "content_type": "json", "secret": HOOK.secret, "insecure_ssl": "0"},
        },
    )
    kept["active"] = False
    assert not await node.still_there(ctx, where, made.remote_id)
    again = await node.subscriber(ctx, where, sdk.Hook("h1", HOOK.url, "t" * 64))
    assert (again, list(site.hooks), kept["active"]) == (made, [key], True)
    assert kept["config"]["secret"] == "t" * 64
    kept["config"] = {**kept["config"], "content_type": "form"}
    assert not await node.still_there(ctx, where, made.remote_id)
    del site.hooks[key]
    renewed = await node.subscriber(ctx, where, sdk.Hook("h1", HOOK.url, HOOK.secret, made.remote_id))
    assert list(site.hooks) == [int(renewed.remote_id)]
    await node.unsubscriber(ctx, where, renewed.remote_id)
    assert site.hooks == {}


async def test_who_may_not_add_webhooks_is_told(there: GitHub, site: Repository) -> None:
    assert code.star.subscriber
    ctx = wired(there, "public_repo")
    with pytest.raises(Gone, match="may not add webhooks") as caught:
        await code.star.subscriber(ctx, talk.At(**IN), HOOK)
    assert caught.value.code == "NOT_FOUND"
    site.moved = True
    with pytest.raises(sdk.Rejected, match="renamed or moved"):
        await code.star.subscriber(wired(there), talk.At(**IN), HOOK)


# Writing


async def test_an_issue_is_written_and_nobody_is_called_by_text_from_elsewhere(
    there: GitHub, site: Repository, ctx: FakeContext
) -> None:
    given = {"title": " Дверь\n🚪 ", "body": "@ada says a@b.c and `@x` to @team/door", "labels": ["bug"]}
    told = await issues.create_issue.fn(ctx, issues.NewIssue(**IN, **given))
    assert (told.number, told.url) == (1, f"https://github.com/{SITE}/issues/1")
    (call,) = there.asked("POST", f"{PLACE}/issues")
    quiet = f"@\u2060ada says a@b.c and `@\u2060x` to @\u2060team/door\n\n{MARK}"
    assert call.json == {"title": "Дверь 🚪", "body": quiet, "labels": ["bug"]}
    await issues.create_issue.fn(ctx, issues.NewIssue(**IN, title="x", body="@ada", mentions=True, assignees=["ada"]))
    assert there.calls[-1].json == {"title": "x", "body": f"@ada\n\n{MARK}", "assignees": ["ada"]}
    await issues.create_issue.fn(ctx, issues.NewIssue(**IN, title="x"))
    assert site.issues[-1]["body"] == MARK
    with pytest.raises(ValidationError, match="needs a title"):
        issues.NewIssue(**IN, title=" \n ")
    site.has_issues = False
    with pytest.raises(sdk.Rejected, match=r"switched off .* GitHub says: Issues has been disabled"):
        await issues.create_issue.fn(ctx, issues.NewIssue(**IN, title="x"))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("你好@ada, é@ada", "你好@\u2060ada, é@\u2060ada"),
        ("`@ada and no more", "`@\u2060ada and no more"),
        ("_@ada_ &#64;ada @&#97;da", "_@\u2060ada_ @\u2060ada @\u2060&#97;da"),
        ("ada@example.com, 7 @ 3", "ada@example.com, 7 @ 3"),
        ("(https://m.example/@ada/1) https://m.example/@ada", "(https://m.example/@ada/1) https://m.example/@ada"),
        ("https://@ada https://a.b/_x_/@ada /@ada", "https://@\u2060ada https://a.b/_x_/@\u2060ada /@\u2060ada"),
    ],
)
def test_no_writing_of_a_name_notifies(given: str, wanted: str) -> None:
    """Names begin after anything but an ASCII letter or digit, and are looked for when Markdown has been read."""
    assert issues.NewIssue(**IN, title="x", body=given).written() == f"{wanted}\n\n{MARK}"


async def test_what_may_have_been_written_is_asked_for(there: GitHub, site: Repository, ctx: FakeContext) -> None:
    there._new_issue(site, there.users[0], {"title": "old"})
    issue, comment = issues.NewIssue(**IN, title="x", body="a\r\nb"), issues.NewComment(**IN, number=1, body="ça")
    file = files.NewFile(**IN, path="a/b.md", content="ça", message="m")
    ctx.tried_since = datetime.now(UTC)
    for node, given in ((issues.create_issue, issue), (issues.comment_on, comment), (files.create_file, file)):
        assert node.reconciler
        there.next(HTML, "PUT" if node is files.create_file else "POST")
        with pytest.raises(sdk.Unknown, match="may have happened"):
            await node.fn(ctx, given)
        assert await node.reconciler(ctx, given) is None
        told = await node.fn(ctx, given)
        found = await node.reconciler(ctx, given)
        assert found == (told.model_copy(update={"commit": ""}) if node is files.create_file else told)
    ctx.tried_since = datetime.now(UTC) + timedelta(minutes=1)
    assert issues.create_issue.reconciler
    assert await issues.create_issue.reconciler(ctx, issue) is None, "an earlier one of the same words"


async def test_a_comment_and_labels_go_to_an_issue_that_is_there(
    there: GitHub, site: Repository, ctx: FakeContext
) -> None:
    there._new_issue(site, there.users[1], {"title": "x", "labels": ["bug"]})
    told = await issues.comment_on.fn(ctx, issues.NewComment(**IN, number=1, body="Спасибо, @grace"))
    assert (told.number, site.comments[1][0]["body"]) == (1, f"Спасибо, @\u2060grace\n\n{MARK}")
    for _ in range(2):
        labelled = await issues.add_labels.fn(ctx, issues.MoreLabels(**IN, number=1, labels=["дверь 🚪"]))
        assert labelled.labels == ["bug", "дверь 🚪"]
    for node, given in (
        (issues.comment_on, issues.NewComment(**IN, number=9, body="x")),
        (issues.add_labels, issues.MoreLabels(**IN, number=9, labels=["x"])),
    ):
        with pytest.raises(Gone, match="no such thing"):
            await node.fn(ctx, given)


async def test_a_file_is_written_and_replaced_only_when_that_is_wanted(
    there: GitHub, site: Repository, ctx: FakeContext
) -> None:
    new = files.NewFile(**IN, path="/log/été 1#?.md", content="ça 🚪", message="Été")
    told = await files.create_file.fn(ctx, new)
    assert (told.path, told.commit, site.files["main", "log/été 1#?.md"].decode()) == (new.path, "c" * 40, "ça 🚪")
    assert there.calls[-1].raw_path == f"{PLACE}/contents/log/%C3%A9t%C3%A9%201%23%3F.md"
    with pytest.raises(sdk.Rejected, match="is there already") as caught:
        await files.create_file.fn(ctx, new)
    assert caught.value.code == "EXISTS"
    await files.create_file.fn(ctx, new.model_copy(update={"content": "b", "overwrite": True}))
    assert site.files["main", new.path] == b"b"
    for path, words in (("log", "is a folder"), ("no", "Branch gone not found")):
        given = {"path": path, "branch": "gone"} if path == "no" else {"path": path}
        with pytest.raises(sdk.Rejected, match=words):
            await files.create_file.fn(ctx, new.model_copy(update=given))
    for path in ("../x", "a//b", ".git/config", "a\\b", "/"):
        with pytest.raises(ValidationError):
            files.NewFile(**IN, path=path, content="", message="m")
    there.next(Fault(status=409, body={"message": "log does not match abc"}), "PUT")
    with pytest.raises(sdk.Unavailable, match="at the same moment"):
        await files.create_file.fn(ctx, new.model_copy(update={"path": "other.md"}))


async def test_a_workflow_is_started(there: GitHub, site: Repository, ctx: FakeContext) -> None:
    start = workflows.Dispatch(**IN, workflow="deploy.yml", ref="mend/door", inputs={"to": "прод"})
    assert (await workflows.dispatch_workflow.fn(ctx, start)).workflow == "deploy.yml"
    assert site.started == [{"ref": "mend/door", "inputs": {"to": "прод"}}]
    with pytest.raises(sdk.Rejected, match="No ref found for: gone"):
        await workflows.dispatch_workflow.fn(ctx, start.model_copy(update={"ref": "gone"}))
    with pytest.raises(Gone):
        await workflows.dispatch_workflow.fn(ctx, start.model_copy(update={"workflow": "no.yml"}))


# Accounts, choices, failures


async def test_there_is_to_choose_from_what_the_account_has(there: GitHub, ctx: FakeContext) -> None:
    assert await repository_choices(ctx, {}) == [sdk.Choice(SITE, SITE), sdk.Choice(HIDDEN, f"{HIDDEN} (private)")]
    for choices, wanted in (
        (branch_choices, ["main", "mend/door"]),
        (label_choices, ["bug", "дверь 🚪"]),
        (assignee_choices, ["ada", "grace"]),
        (workflow_choices, ["deploy.yml"]),
        (workflow_name_choices, ["Deploy 🚀", "CodeQL"]),
    ):
        assert [one.value for one in await choices(ctx, IN)] == wanted
        assert await choices(ctx, {}) == []
    there.repositories[SITE].branches = [f"b{number}" for number in range(450)]
    assert len(await branch_choices(ctx, IN)) == 300


@pytest.mark.parametrize("given", ["site", "ada/..", "ada/", "https://gitlab.com/ada/site", "ada/si te", "-a/b"])
def test_what_is_no_repository_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        talk.At(repository=given)


@pytest.mark.parametrize("given", [SITE, f"https://github.com/{SITE}/issues?q=1", f"git@github.com:{SITE}.git"])
def test_an_address_is_a_repository_too(given: str) -> None:
    assert talk.At(repository=given).repository == SITE


def test_each_node_asks_for_the_least_and_scopes_are_read_as_they_come() -> None:
    assert {node.scopes for node in service.actions.values()} == {(HOOKS,)}
    assert {node.scopes for node in service.reactions.values()} == {(REPO,)}
    assert service.auth
    assert HOOKS in service.auth.covered(frozenset({REPO}))
    told = {"access_token": "gho_x", "token_type": "bearer", "scope": "repo,admin:repo_hook"}
    assert read_grant(told).scopes == {"repo", "admin:repo_hook"}
    assert read_grant({**told, "access_token": "ghu_x", "scope": ""}).scopes is None
    with pytest.raises(sdk.GrantRefused):
        read_grant({"error": "bad_verification_code", "error_description": "The code is incorrect or expired."})


LIMIT = {"message": "You have exceeded a secondary rate limit."}
FAILURES: list[tuple[httpx.Response, type[Exception], str]] = [
    (httpx.Response(403, json=LIMIT), sdk.Throttled, "go slower"),
    (httpx.Response(403, json=LIMIT, headers={"retry-after": "7"}), sdk.Throttled, "secondary rate limit"),
    (httpx.Response(429), sdk.Throttled, "go slower"),
    (httpx.Response(403, json={"message": "Resource not accessible"}), sdk.Rejected, "Resource not accessible"),
    (httpx.Response(401, json={"message": "Bad credentials"}), sdk.Reconnect, "Connect the account again"),
    (
        httpx.Response(422, json={"message": "No", "errors": [{"resource": "Issue", "field": "title"}, "é"]}),
        sdk.Rejected,
        "é",
    ),
    (httpx.Response(502, html="<h1>Unicorn</h1>"), sdk.Unavailable, "answered 502"),
    (httpx.Response(200, html="<h1>Hello</h1>"), sdk.Unavailable, "something else than its API promises"),
    (httpx.Response(200, json={"error": "no"}), sdk.Unavailable, "something else than its API promises"),
    (httpx.Response(200, content=b" " * (10 << 20)), sdk.Unavailable, "something else than its API promises"),
    (httpx.Response(200, content=b"[" * 200_000), sdk.Unavailable, "something else than its API promises"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), FAILURES, ids=range(len(FAILURES)))
async def test_a_failure_says_what_it_means(
    context: MakeContext, answer: httpx.Response, kind: type[Exception], words: str
) -> None:
    ctx = context(lambda request: answer, service=service)
    with pytest.raises(kind, match=words):
        await label_choices(ctx, IN)


async def test_a_spent_budget_waits_for_its_end_and_no_end_for_a_minute(context: MakeContext) -> None:
    until = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(datetime.now(UTC).timestamp()) + 90)}
    for headers, low, high in ((until, 80, 91), ({}, 60, 60), ({"x-ratelimit-remaining": "4"}, 60, 60)):
        answer = httpx.Response(403, json={"message": "API rate limit exceeded"}, headers=headers)
        with pytest.raises(sdk.Throttled) as caught:
            await label_choices(context(lambda request, answer=answer: answer, service=service), IN)
        assert low <= (caught.value.retry_after or 0) <= high


async def test_github_s_clock_may_differ_from_ours(context: MakeContext) -> None:
    """An issue made by the first attempt is found although GitHub's clock is an hour behind."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    body = {"id": 1, "number": 2, "title": "x", "body": MARK, "created_at": "2026-03-01T10:59:58Z"}
    headers = {"date": "Sun, 01 Mar 2026 11:00:00 GMT"}
    ctx = context(lambda request: httpx.Response(200, json=[body], headers=headers), service=service)
    ctx.moment, ctx.tried_since = noon, noon - timedelta(seconds=2)
    ctx.connected = sdk.Account("a1", "1001", "ada", frozenset(), {"login": "ada"})
    assert issues.create_issue.reconciler
    found = await issues.create_issue.reconciler(ctx, issues.NewIssue(**IN, title="x"))
    assert found.number == 2
    body["created_at"] = "2026-03-01T10:50:00Z"
    assert await issues.create_issue.reconciler(ctx, issues.NewIssue(**IN, title="x")) is None
