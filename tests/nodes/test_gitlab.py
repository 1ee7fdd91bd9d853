"""GitLab: what fires and what does not, what is written and how, what failures mean, and that nothing is written twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes._forges import MARK
from area.nodes.gitlab import events, hooks, items, pipelines, service, writing
from area.nodes.gitlab.projects import branch_choices, label_choices, project_choices
from area.nodes.gitlab.provider import API, READ_USER, Gone, Token, api_of, identify
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.gitlab_wire import delivery, wired
from tests.providers import gitlab as shapes
from tests.providers.calls import Fault
from tests.providers.gitlab import DEVELOPER, PAT, SECOND, SITE, GitLab, Project

HOOK = sdk.Hook("h1", "https://area.example/hooks/token", "s" * 64)
IN = {"project": SITE}
RAW = "/api/v4/projects/ada%2Fweb%2Fsite"
PLACE = f"/api/v4/projects/{SITE}"
AROUND = {
    "project": {"path_with_namespace": SITE, "web_url": f"https://gitlab.com/{SITE}"},
    "user": {"username": "grace", "name": "Grace Hopper"},
}
HTML = Fault(status=200, body="<h1>422</h1>", headers={"content-type": "text/html"})


@pytest.fixture
def there() -> GitLab:
    return GitLab()


@pytest.fixture
def site(there: GitLab) -> Project:
    return there.projects[SITE]


@pytest.fixture
def ctx(there: GitLab) -> FakeContext:
    return wired(there)


def fires(action: sdk.Action, body: Any, **where: Any) -> Any:
    kind = action.key.partition(".")[2]
    return action.fn(action.inputs.model_validate({**IN, **where}), delivery({"object_kind": kind, **AROUND, **body}))


# What fires


def pushed(**more: Any) -> dict[str, Any]:
    author = GitLab().users[0]
    told = shapes.push("Дверь 🚪\n\nIt squeaked.", "mend/door", author)
    return {**told, "user_username": "grace", "user_name": "Grace Hopper", **more}


def test_a_push_is_told_and_of_tags_other_branches_and_deletions_nothing() -> None:
    found = fires(events.push, pushed(total_commits_count=41), branch="mend/door")
    assert found.model_dump() == {
        "project": SITE,
        "sender": "grace",
        "sender_name": "Grace Hopper",
        "branch": "mend/door",
        "before": "a" * 40,
        "after": "b" * 40,
        "created": False,
        "commits": 41,
        "message": "Дверь 🚪\n\nIt squeaked.",
        "author": "Ada Lovelace",
        "url": f"https://gitlab.com/{SITE}/-/compare/{'a' * 40}...{'b' * 40}",
    }
    new = fires(events.push, pushed(before="0" * 40, commits=[], total_commits_count=0))
    assert (new.created, new.commits, new.message, new.url[-47:]) == (True, 0, "", f"commit/{'b' * 40}")
    reordered = pushed(commits=list(reversed(pushed()["commits"])))
    assert fires(events.push, reordered).message.startswith("Дверь"), "the newest is the one that the branch is at"
    assert fires(events.push, pushed(), branch="main") is None
    assert fires(events.push, pushed(ref="refs/tags/v1")) is None
    assert fires(events.push, pushed(after="0" * 40, checkout_sha=None, commits=[])) is None


def test_a_merge_request_is_told_as_it_is_chosen() -> None:
    body = shapes.merge_request("merge", "Mend")
    told = fires(items.merge_request, body, changes=["merge"], branch="main")
    assert told.model_dump(mode="json") == {
        "project": SITE,
        "sender": "grace",
        "sender_name": "Grace Hopper",
        "action": "merge",
        "number": 1,
        "title": "Mend",
        "body": "It squeaked.",
        "labels": ["bug"],
        "assignees": ["ada"],
        "state": "merged",
        "created_at": "2026-03-01T08:00:00Z",
        "url": f"https://gitlab.com/{SITE}/-/merge_requests/1",
        "draft": False,
        "source": "mend/door",
        "target": "main",
        "commit": "b" * 40,
        "reviewers": ["grace"],
    }
    assert fires(items.merge_request, body, changes=["close", "open"]) is None
    assert fires(items.merge_request, body, changes=["merge"], branch="stable") is None
    commits = shapes.merge_request("update", "Mend", oldrev="c" * 40)
    assert fires(items.merge_request, commits, changes=["commits"]).action == "commits"
    assert fires(items.merge_request, commits, changes=["update"]) is None
    edited = shapes.merge_request("update", "Mend", draft=None, work_in_progress=True)
    assert fires(items.merge_request, edited, changes=["commits"]) is None
    assert fires(items.merge_request, edited, changes=["update"]).draft is True


def test_a_pipeline_is_told_by_what_it_came_to() -> None:
    told = fires(events.pipeline, shapes.pipeline("failed"), branch="main")
    assert told.model_dump(mode="json") == {
        "project": SITE,
        "sender": "grace",
        "sender_name": "Grace Hopper",
        "id": 31,
        "status": "failed",
        "name": "",
        "branch": "main",
        "tag": False,
        "commit": "b" * 40,
        "message": "Mend the door 🚪",
        "source": "push",
        "failed_jobs": ["tests"],
        "duration": 63,
        "finished_at": "2026-03-01T08:01:03Z",
        "url": f"https://gitlab.com/{SITE}/-/pipelines/31",
    }
    running = fires(events.pipeline, shapes.pipeline("running", url=None), statuses=["running"])
    assert (running.duration, running.finished_at, running.url) == (0, None, told.url)
    assert fires(events.pipeline, shapes.pipeline("running")) is None
    assert fires(events.pipeline, shapes.pipeline("failed"), statuses=["success"]) is None
    assert fires(events.pipeline, shapes.pipeline("success"), branch="dev") is None
    ours = shapes.pipeline("failed", source="api")
    assert fires(events.pipeline, ours) is None
    assert fires(events.pipeline, ours, from_api=True).source == "api"


def test_an_issue_fires_unless_it_is_confidential_or_an_area_s_own() -> None:
    def of(action: str, **more: Any) -> dict[str, Any]:
        about = {"iid": 3, "title": "x", "created_at": "2026-03-01 09:00:00 +0100", "action": action, **more}
        return {"object_attributes": about, "labels": [{"title": "дверь"}, None], "assignees": None}

    told = fires(items.issue, of("open", description="é" * 70_000))
    assert (told.number, len(told.body), told.labels, told.assignees) == (3, 10_000, ["дверь"], [])
    assert told.created_at == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert fires(items.issue, of("close")) is None
    assert fires(items.issue, of("close"), changes=["close"]).action == "close"
    assert fires(items.issue, of("open", confidential=True)) is None
    own = of("open", description=f"Thanks\n\n{MARK}")
    assert fires(items.issue, own) is None
    assert fires(items.issue, own, from_areas=True).body.startswith("Thanks")


def test_another_event_and_broken_payloads_fire_nothing() -> None:
    for action in service.actions.values():
        assert action.fn(action.inputs.model_validate(IN), delivery({"object_kind": "wiki_page", **AROUND})) is None
        assert fires(action, {"object_attributes": None, "commits": "no", "project": 5}) is None
    assert fires(items.issue, {"object_attributes": {"action": "open", "created_at": "soon", "iid": True}}).number == 0


def test_a_delivery_is_known_by_its_key_and_an_older_gitlab_s_by_what_it_says() -> None:
    assert hooks.named(delivery({}, idempotency_key="f5e57a2f", x_gitlab_event_uuid="13792a34")) == "f5e57a2f"
    first, again, other = (hooks.named(delivery(body, x_gitlab_event_uuid="13792a34")) for body in ({}, {}, [1]))
    assert first == again != other


# Webhooks


@pytest.mark.parametrize("action", list(service.actions.values()), ids=list(service.actions))
async def test_a_webhook_is_made_for_its_event_taken_over_and_removed(
    site: Project, ctx: FakeContext, action: sdk.Action
) -> None:
    assert action.subscriber
    assert action.still_there
    assert action.unsubscriber
    where = action.inputs.model_validate({"project": f"https://gitlab.com/{SITE}/-/tree/main"})
    made = await action.subscriber(ctx, where, HOOK)
    ((key, kept),) = site.hooks.items()
    on = shapes.FLAGS[action.key.partition(".")[2]]
    flags = {flag: flag == on for flag in shapes.FLAGS.values() if flag != "tag_push_events"}
    asked = {"url": HOOK.url, "token": HOOK.secret, **flags, "enable_ssl_verification": True}
    assert (made.remote_id, kept) == (f"15/{key}", {**asked, "alert_status": "executable"})
    assert await action.still_there(ctx, where, made.remote_id)
    # another worker, which knows of none
    again = await action.subscriber(ctx, where, sdk.Hook("h1", HOOK.url, "t" * 64))
    assert (again, list(site.hooks), kept["token"]) == (made, [key], "t" * 64)
    kept[on] = False
    assert not await action.still_there(ctx, where, made.remote_id)
    await action.subscriber(ctx, where, sdk.Hook("h1", HOOK.url, HOOK.secret, made.remote_id))
    assert kept[on] is True
    for _ in range(2):
        await action.unsubscriber(ctx, where, made.remote_id)
    assert site.hooks == {}
    assert not await action.still_there(ctx, where, made.remote_id)


async def test_a_webhook_that_gitlab_gave_up_is_made_anew(site: Project, ctx: FakeContext) -> None:
    node, where = events.push, events.Pushes(**IN)
    assert node.subscriber
    assert node.still_there
    made = await node.subscriber(ctx, where, HOOK)
    site.hooks[int(made.remote_id.partition("/")[2])]["alert_status"] = "temporarily_disabled"
    assert await node.still_there(ctx, where, made.remote_id), "GitLab goes on by itself"
    site.hooks[int(made.remote_id.partition("/")[2])]["alert_status"] = "disabled"
    assert not await node.still_there(ctx, where, made.remote_id)
    renewed = await node.subscriber(ctx, where, sdk.Hook("h1", HOOK.url, HOOK.secret, made.remote_id))
    assert renewed != made
    assert [hook["alert_status"] for hook in site.hooks.values()] == ["executable"]


async def test_a_second_webhook_of_the_same_address_would_tell_everything_twice(
    there: GitLab, site: Project, ctx: FakeContext
) -> None:
    node, where = events.push, events.Pushes(**IN)
    assert node.subscriber
    made = await node.subscriber(ctx, where, HOOK)
    site.hooks[77] = dict(next(iter(site.hooks.values())))
    site.hooks[78] = {**site.hooks[77], "url": "https://elsewhere.example"}
    assert await node.subscriber(ctx, where, sdk.Hook("h1", HOOK.url, HOOK.secret, made.remote_id)) == made
    assert list(site.hooks) == [int(made.remote_id.partition("/")[2]), 78]


async def test_the_webhook_of_a_project_that_was_renamed_goes_on_and_is_removed(
    site: Project, ctx: FakeContext
) -> None:
    node, where = events.push, events.Pushes(**IN)
    assert node.subscriber
    assert node.still_there
    assert node.unsubscriber
    made = await node.subscriber(ctx, where, HOOK)
    site.moved = True
    assert await node.still_there(ctx, where, made.remote_id)
    await node.unsubscriber(ctx, where, made.remote_id)
    assert site.hooks == {}


async def test_who_may_not_add_webhooks_is_told(there: GitLab, site: Project, ctx: FakeContext) -> None:
    assert items.issue.subscriber

    async def refused(ctx: FakeContext, project: str = SITE) -> tuple[str | None, str]:
        assert items.issue.subscriber
        with pytest.raises(sdk.Rejected) as caught:
            await items.issue.subscriber(ctx, items.Issues(project=project), HOOK)
        return caught.value.code, caught.value.message

    code, words = await refused(ctx, "ada/nothing")
    assert (code, "is a Maintainer of it. GitLab says: 404 Project Not Found" in words) == ("NOT_FOUND", True)
    code, words = await refused(wired(there, READ_USER))
    assert (code, "higher privileges than provided" in words) == ("FORBIDDEN", True)
    site.role = DEVELOPER
    code, words = await refused(ctx)
    assert (code, "make it a Maintainer" in words) == ("FORBIDDEN", True)
    site.moved = True
    assert await refused(ctx) == (
        "MOVED",
        "The project has been renamed or moved: choose it again under its present path.",
    )


# Writing


async def test_an_issue_is_written_and_nobody_is_called_by_text_from_elsewhere(
    there: GitLab, site: Project, ctx: FakeContext
) -> None:
    text = "@ada says a@b.c and `@x` to @all\r\n/close\rsee /label\n/ASSIGN @ada\n"
    given = {"title": " Дверь\n🚪 ", "body": text, "labels": ["bug", "дверь 🚪"], "confidential": True}
    told = await writing.create_issue.fn(ctx, writing.NewIssue(**IN, **given))
    assert told.model_dump() == {"id": 301, "number": 1, "url": f"https://gitlab.com/{SITE}/-/issues/1"}
    (call,) = there.asked("POST", f"{PLACE}/issues")
    quiet = "@\u2060ada says a@b.c and `@\u2060x` to @\u2060all\n\u2060/close\nsee /label\n\u2060/ASSIGN @\u2060ada"
    asked = {"title": "Дверь 🚪", "description": f"{quiet}\n\n{MARK}", "labels": "bug,дверь 🚪", "confidential": True}
    assert (call.json, call.raw_path, there.carried_out) == (asked, f"{RAW}/issues", [])
    await writing.create_issue.fn(ctx, writing.NewIssue(**IN, title="x", body="@ada", mentions=True))
    assert there.calls[-1].json == {"title": "x", "description": f"@ada\n\n{MARK}"}
    await writing.create_issue.fn(ctx, writing.NewIssue(**IN, title="x"))
    assert site.issues[-1]["description"] == MARK
    for wrong, words in (({"title": " \n "}, "needs a title"), ({"title": "x", "labels": ["a,b"]}, "hold a comma")):
        with pytest.raises(ValidationError, match=words):
            writing.NewIssue(**IN, **wrong)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("你好@ada, é@ada", "你好@\u2060ada, é@\u2060ada"),
        ("`@ada and no more", "`@\u2060ada and no more"),
        ("_@ada_ **@all**", "_@\u2060ada_ **@\u2060all**"),
        ("&#64;ada &#x40;ada &commat;ada @&#97;da", "@\u2060ada @\u2060ada @\u2060ada @\u2060&#97;da"),
        ("ada@example.com, 7 @ 3", "ada@example.com, 7 @ 3"),
        ("(https://m.example/@ada/1) https://m.example/@ada", "(https://m.example/@ada/1) https://m.example/@ada"),
        ("https://@ada https://a.b/_x_/@ada /@ada", "https://@\u2060ada https://a.b/_x_/@\u2060ada /@\u2060ada"),
    ],
)
async def test_no_writing_of_a_name_notifies_and_neither_does_a_title(
    there: GitLab, ctx: FakeContext, given: str, wanted: str
) -> None:
    """GitLab's names begin after anything but an ASCII letter or digit, and are looked for when Markdown has been read."""
    await writing.create_issue.fn(ctx, writing.NewIssue(**IN, title=given, body=given))
    assert there.calls[-1].json == {"title": wanted, "description": f"{wanted}\n\n{MARK}"}
    await writing.create_issue.fn(ctx, writing.NewIssue(**IN, title=given, body=given, mentions=True))
    assert there.calls[-1].json == {"title": given, "description": f"{given}\n\n{MARK}"}


async def test_a_title_that_grows_stays_as_long_as_gitlab_takes(there: GitLab, ctx: FakeContext) -> None:
    issue = writing.NewIssue(**IN, title=("@ada " * 51)[:255], body="x")
    told = await writing.create_issue.fn(ctx, issue)
    assert len(there.calls[-1].json["title"]) == 255
    assert writing.create_issue.reconciler
    ctx.tried_since = datetime.now(UTC)
    assert await writing.create_issue.reconciler(ctx, issue) == told


async def test_a_comment_goes_to_an_issue_or_a_merge_request(there: GitLab, site: Project, ctx: FakeContext) -> None:
    there._new_issue(site, there.users[1], {"title": "x"})
    told = await writing.comment_on.fn(ctx, writing.NewComment(**IN, number=1, body="Спасибо, @grace\n/close"))
    (note,) = site.notes["issues", 1]
    assert note["body"] == f"Спасибо, @\u2060grace\n\u2060/close\n\n{MARK}"
    assert (told.id, told.number) == (note["id"], 1)
    assert told.url == f"https://gitlab.test/{SITE}/-/issues/1#note_{note['id']}"
    other = await writing.comment_on.fn(ctx, writing.NewComment(**IN, under="merge_request", number=1, body="ok"))
    assert other.url.startswith(f"https://gitlab.test/{SITE}/-/merge_requests/1#note_")
    assert there.carried_out == []
    for under in ("issue", "merge_request"):
        with pytest.raises(Gone, match="no such thing"):
            await writing.comment_on.fn(ctx, writing.NewComment(**IN, under=under, number=9, body="x"))
    with pytest.raises(ValidationError, match="needs words"):
        writing.NewComment(**IN, number=1, body=" \n")


async def test_a_pipeline_is_started(site: Project, ctx: FakeContext) -> None:
    start = pipelines.Start(**IN, ref="mend/door", variables={"TO": "прод"})
    told = await pipelines.trigger_pipeline.fn(ctx, start)
    (made,) = site.pipelines
    assert told.model_dump() == {
        "id": made["id"],
        "ref": "mend/door",
        "commit": "b" * 40,
        "status": "created",
        "url": f"https://gitlab.com/{SITE}/-/pipelines/{made['id']}",
    }
    assert site.variables == {made["id"]: [{"key": "TO", "value": "прод"}]}
    with pytest.raises(sdk.Rejected, match="GitLab says: Reference not found"):
        await pipelines.trigger_pipeline.fn(ctx, start.model_copy(update={"ref": "gone"}))
    with pytest.raises(ValidationError):
        pipelines.Start(**IN, ref="main", variables={"NOT A NAME": "x"})


async def test_what_may_have_been_written_is_asked_for(there: GitLab, site: Project, ctx: FakeContext) -> None:
    there._new_issue(site, there.users[0], {"title": "old"})
    there._new_issue(site, there.users[1], {"title": "x", "description": f"a\nb\n\n{MARK}"})
    issue = writing.NewIssue(**IN, title="x", body="a\r\nb")
    comment = writing.NewComment(**IN, number=1, body="ça")
    start = pipelines.Start(**IN, ref="main", variables={"RUN": "1"})
    ctx.tried_since = datetime.now(UTC)
    await pipelines.trigger_pipeline.fn(ctx, start.model_copy(update={"variables": {"RUN": "2"}}))
    for node, given in (
        (writing.create_issue, issue),
        (writing.comment_on, comment),
        (pipelines.trigger_pipeline, start),
    ):
        assert node.reconciler
        there.next(HTML, "POST")
        with pytest.raises(sdk.Unknown, match="may have happened"):
            await node.fn(ctx, given)
        assert await node.reconciler(ctx, given) is None
        told = await node.fn(ctx, given)
        assert await node.reconciler(ctx, given) == told
    await pipelines.trigger_pipeline.fn(ctx, start)
    assert pipelines.trigger_pipeline.reconciler
    with pytest.raises(sdk.Unknown, match="2 such pipelines"):
        await pipelines.trigger_pipeline.reconciler(ctx, start)
    for _ in range(5):
        await pipelines.trigger_pipeline.fn(ctx, start.model_copy(update={"variables": {"RUN": "3"}}))
    with pytest.raises(sdk.Unknown, match="Many pipelines"):
        await pipelines.trigger_pipeline.reconciler(ctx, start)
    ctx.tried_since = datetime.now(UTC) + timedelta(minutes=1)
    assert writing.create_issue.reconciler
    assert await writing.create_issue.reconciler(ctx, issue) is None, "an earlier one of the same words"


async def test_a_list_too_long_to_be_sure_leaves_it_to_a_person(there: GitLab, site: Project, ctx: FakeContext) -> None:
    there._new_issue(site, there.users[0], {"title": "x"})
    ctx.tried_since = datetime.now(UTC)
    for _ in range(100):
        there._new_issue(site, there.users[0], {"title": "another"})
        await writing.comment_on.fn(ctx, writing.NewComment(**IN, number=1, body="another"))
    for node, given in (
        (writing.create_issue, writing.NewIssue(**IN, title="y")),
        (writing.comment_on, writing.NewComment(**IN, number=1, body="y")),
    ):
        assert node.reconciler
        with pytest.raises(sdk.Unknown, match="look whether"):
            await node.reconciler(ctx, given)


async def test_gitlab_s_clock_may_differ_from_ours(context: MakeContext) -> None:
    """A comment made by the first attempt is found although GitLab's clock is an hour behind."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    note = {"id": 1, "body": f"x\n\n{MARK}", "author": {"id": 1001}, "created_at": "2026-03-01T10:59:58.000Z"}
    headers = {"date": "Sun, 01 Mar 2026 11:00:00 GMT"}
    ctx = context(lambda request: httpx.Response(200, json=[note], headers=headers), service=service)
    ctx.moment, ctx.tried_since = noon, noon - timedelta(seconds=2)
    ctx.connected = sdk.Account("a1", "1001", "ada")
    given = writing.NewComment(**IN, number=2, body="x")
    assert writing.comment_on.reconciler
    found = await writing.comment_on.reconciler(ctx, given)
    assert found.url == f"https://gitlab.com/{SITE}/-/issues/2#note_1"
    note["created_at"] = "2026-03-01T10:50:00.000Z"
    assert await writing.comment_on.reconciler(ctx, given) is None


# Accounts, choices, failures


async def test_an_account_is_of_gitlab_com_or_of_an_instance_of_one_s_own(there: GitLab) -> None:
    typed = Token(token=PAT, instance="https://git.acme.example:8443/code/")
    assert api_of(typed.model_dump()) == "https://git.acme.example:8443/code/api/v4"
    assert api_of(Token(token=PAT, instance="https://gitlab.com/").model_dump()) == ""
    for wrong in (
        "http://git.acme.example",
        "git.acme.example",
        "https://a b",
        "https://u:p@git.acme.example",
        "https://x/?y",
    ):
        with pytest.raises(ValidationError):
            Token(token=PAT, instance=wrong)
    mine = await identify(wired(there, READ_USER))
    assert (mine.external_id, mine.label, mine.facts) == ("1001", "ada", {"id": "1001", "username": "ada"})
    theirs = await identify(wired(there, credentials=typed.model_dump()))
    assert (theirs.external_id, theirs.label) == ("1001@git.acme.example:8443", "ada at git.acme.example:8443")
    assert service.key_auth
    assert service.key_auth.authorise
    request = httpx.Request("GET", "https://gitlab.com/api/v4/user")
    service.key_auth.authorise(request, {"token": PAT})
    assert request.headers["authorization"] == f"Bearer {PAT}"


async def test_there_is_to_choose_from_what_the_account_has(there: GitLab, site: Project, ctx: FakeContext) -> None:
    wanted = [sdk.Choice(SITE, "ada / web / site"), sdk.Choice(SECOND, "ada / notes")]
    assert await project_choices(ctx, {}) == wanted
    assert there.calls[-1].query["membership"] == "true"
    site.labels.append("a,b")
    for choices, names in ((branch_choices, ["main", "mend/door"]), (label_choices, ["bug", "дверь 🚪"])):
        assert [one.value for one in await choices(ctx, IN)] == names
        assert await choices(ctx, {}) == []
    site.branches = [f"b{number}" for number in range(450)]
    assert len(await branch_choices(ctx, IN)) == 300


@pytest.mark.parametrize(
    "given", ["site", "ada/..", "ada/", "https://gitlab.com/", "ada/si te", "-a/b", "a/b/../c", "a//b"]
)
def test_what_is_no_project_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        events.At(project=given)


PASTED = [SITE, f" /{SITE}/ ", f"https://gitlab.com/{SITE}/-/issues/4?q=1#note_5", f"git@gitlab.com:{SITE}.git"]
PASTED += [
    f"{SITE}.git",
    f"https://git.acme.example/{SITE}",
    f"ssh://git@gitlab.com:22/{SITE}.git",
    f"https://gitlab.com/{SITE}?x=/-/",
]


@pytest.mark.parametrize("given", PASTED)
def test_an_address_is_a_project_too(given: str) -> None:
    assert events.At(project=given).project == SITE


def test_a_project_s_path_may_begin_with_a_dot() -> None:
    assert events.At(project="https://gitlab.com/acme/.gitlab-profile").project == "acme/.gitlab-profile"


async def test_what_a_template_made_is_looked_at_again(there: GitLab, ctx: FakeContext) -> None:
    made = writing.NewComment.model_construct(project="../user", number=1, body="x", mentions=False, under="issue")
    with pytest.raises(sdk.Rejected, match="is not a project"):
        await writing.comment_on.fn(ctx, made)
    assert there.calls == []


def test_each_node_asks_for_the_least() -> None:
    assert {node.scopes for node in (*service.actions.values(), *service.reactions.values())} == {(API,)}
    assert service.auth
    assert service.auth.scopes == (READ_USER,)
    assert service.auth.covered({API}) >= {READ_USER}


BUSY = {"message": {"error": "This endpoint has been requested too many times. Try again later."}}
FAILURES: list[tuple[httpx.Response, type[Exception], str]] = [
    (httpx.Response(429, text="Retry later", headers={"retry-after": "7"}), sdk.Throttled, "Retry later"),
    (httpx.Response(429, json=BUSY), sdk.Throttled, "too many times"),
    (httpx.Response(401, json={"message": "401 Unauthorized"}), sdk.Reconnect, "Connect the account again"),
    (httpx.Response(403, json={"message": "403 Forbidden"}), sdk.Rejected, "higher role in the project"),
    (httpx.Response(403, json={"error": "insufficient_scope", "error_description": "Ça"}), sdk.Rejected, "says: Ça"),
    (
        httpx.Response(400, json={"message": {"title": ["is too long", "is odd"]}}),
        sdk.Rejected,
        "title is too long, is odd",
    ),
    (httpx.Response(400, json={"error": "title is missing"}), sdk.Rejected, "title is missing"),
    (httpx.Response(409, json={"message": ["é"]}), sdk.Rejected, "é"),
    (httpx.Response(422, html="<h1>422</h1>"), sdk.Rejected, "cannot accept this"),
    (httpx.Response(404, json=["no"]), Gone, "no such thing"),
    (httpx.Response(405, json={"message": "405 Method Not Allowed"}), sdk.Rejected, "answered 405"),
    (httpx.Response(502, html="<h1>Unicorn</h1>"), sdk.Unavailable, "answered 502"),
    (httpx.Response(200, html="<h1>Sign in</h1>"), sdk.Unavailable, "something else than its API promises"),
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


async def test_a_spent_budget_waits_for_its_end(context: MakeContext) -> None:
    until = str(int(datetime.now(UTC).timestamp()) + 90)
    headers = {"ratelimit-limit": "2000", "ratelimit-remaining": "0", "ratelimit-reset": until}
    ctx = context(lambda request: httpx.Response(429, text="Retry later", headers=headers), service=service)
    with pytest.raises(sdk.Throttled) as caught:
        await label_choices(ctx, IN)
    assert 80 <= caught.value.retry_after <= 91
