"""What GitHub's nodes send, and their stand-in answers, is as GitHub describes its API; its own payloads are read."""

import json
from typing import Any

import pytest

from area.nodes import sdk
from area.nodes.github import code, files, hooks, issues, service, talk, workflows
from area.nodes.github.provider import revoke
from area.nodes.github.repositories import repository_choices
from tests.contract.documents import SHARED, SPECS, ContractBroken
from tests.contract.plugin import Contracts
from tests.nodes.github_wire import delivery, wired
from tests.providers.github import HIDDEN, REPO, SITE, GitHub

PLACE = f"/repos/{SITE}"
BEYOND = tuple(f"GET {PLACE}/{what}" for what in ("branches", "labels", "assignees", "actions/workflows"))
"""What there is to choose from is not in the description that we have."""
SAMPLES = SPECS / "github/webhook_examples.json"
EXAMPLES: list[Any] = json.loads(SAMPLES.read_text()) if SAMPLES.exists() else []
needs_samples = pytest.mark.skipif(not EXAMPLES, reason=f"GitHub's payloads are not there: {SHARED} is missing")


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("github", beyond=BEYOND), GitHub()
    ctx = wired(there)
    for number, action in enumerate(service.actions.values()):
        where = action.inputs.model_validate({"repository": SITE})
        hook = sdk.Hook(f"h{number}", f"https://area.example/hooks/{number}", "s" * 64)
        assert action.subscriber
        assert action.unsubscriber
        assert action.still_there
        made = await action.subscriber(ctx, where, hook)
        assert await action.subscriber(ctx, where, hook) == made
        assert await action.still_there(ctx, where, made.remote_id)
        for _ in range(2):
            await action.unsubscriber(ctx, where, made.remote_id)
        assert not await action.still_there(ctx, where, made.remote_id)
    ctx.tried_since = ctx.moment
    issue = issues.NewIssue(repository=SITE, title="Ça grince 🚪", body="x" * 60_000, labels=["bug"], assignees=["ada"])
    comment = issues.NewComment(repository=SITE, number=1, body="ça")
    file = files.NewFile(
        repository=SITE, path="log/été 1#.md", content="ça", message="Été", branch="main", overwrite=True
    )
    for node, given in ((issues.create_issue, issue), (issues.comment_on, comment), (files.create_file, file)):
        assert node.reconciler
        assert await node.reconciler(ctx, given) is None
        assert await node.fn(ctx, given)
        assert await node.reconciler(ctx, given)
    await files.create_file.fn(ctx, file.model_copy(update={"content": "other"}))
    await issues.add_labels.fn(ctx, issues.MoreLabels(repository=SITE, number=1, labels=["дверь 🚪"]))
    start = workflows.Dispatch(repository=SITE, workflow="deploy.yml", ref="mend/door", inputs={"to": "prod"})
    await workflows.dispatch_workflow.fn(ctx, start)
    assert [one.value for one in await repository_choices(ctx, {})] == [SITE, HIDDEN]
    assert service.identifier
    assert (await service.identifier(ctx)).label == "ada"
    token = there.auth.issue(there.users[0], REPO)["access_token"]
    for _ in range(2):
        await revoke(ctx, sdk.Grant(token))
    assert there.auth.find(token) is None
    described.audit(there)
    assert described.checked > 60


async def test_the_audit_bites(contract: Contracts) -> None:
    there, described = GitHub(), contract("github", beyond=BEYOND)
    asked = {
        "name": "web",
        "active": True,
        "events": ["push"],
        "config": {"url": "https://area.example"},
        "colour": "red",
    }
    await wired(there).http.post(f"{PLACE}/hooks", json=asked)
    with pytest.raises(ContractBroken):
        described.audit(there)


# GitHub's own payloads

FIRES = {
    ("issues", "opened"): talk.issue,
    ("issues", "labeled"): talk.issue,
    ("issues", "reopened"): talk.issue,
    ("issues", "assigned"): talk.issue,
    ("issue_comment", "created"): talk.comment,
    ("pull_request", "opened"): talk.pull_request,
    ("pull_request", "closed"): talk.pull_request,
    ("pull_request", "reopened"): talk.pull_request,
    ("star", "created"): code.star,
    ("workflow_run", "completed"): code.workflow_run,
}
"""Which of the examples fire, and whom; the rest fires nobody."""


def listening(action: sdk.Action) -> sdk.Inputs:
    """Inputs by which everything that an action can tell fires."""
    wanted: dict[str, Any] = {"repository": SITE}
    for name, kinds in (("changes", talk.IssueChange), ("verdicts", talk.Verdict), ("conclusions", code.Conclusion)):
        wanted |= {name: list(kinds)} if name in action.inputs.model_fields else {}
    if action is talk.pull_request:
        wanted["changes"] = list(talk.PullChange)
    return action.inputs.model_validate(wanted)


@needs_samples
def test_all_payloads_of_github_are_read_and_each_fires_whom_it_should() -> None:
    read = 0
    for kind in EXAMPLES:
        for body in kind["examples"]:
            read += 1
            told = {
                action: found
                for action in service.actions.values()
                if (found := action.fn(listening(action), delivery(kind["name"], body))) is not None
            }
            wanted = FIRES.get((kind["name"], body.get("action", "")))
            assert list(told) == ([wanted] if wanted else []), (kind["name"], body.get("action"))
            for found in told.values():
                assert found.repository == body["repository"]["full_name"]
                assert found.sender == body["sender"]["login"]
    assert read == 39


@needs_samples
def test_what_the_payloads_say_is_told() -> None:
    bodies = {(kind["name"], body.get("action")): body for kind in EXAMPLES for body in reversed(kind["examples"])}
    push = {**bodies["push", None], "ref": "refs/heads/main", "deleted": False}
    assert code.push.fn(code.OnBranch(repository=SITE), delivery("push", push)).branch == "main"
    release = {**bodies["release", "created"], "action": "published"}
    told = code.release.fn(code.Releases(repository=SITE), delivery("release", release))
    assert (told.tag, told.name, told.url[:19]) == ("0.0.1", "0.0.1", "https://github.com/")
    review = json.loads(json.dumps(bodies["pull_request_review", "dismissed"]))
    review["action"], review["review"]["state"] = "submitted", "approved"
    said = talk.review.fn(talk.Reviews(repository=SITE), delivery("pull_request_review", review))
    assert (said.verdict, said.number, said.title) == ("approved", 2, "Update the README with new information.")
    issue = talk.issue.fn(talk.Issues(repository=SITE), delivery("issues", bodies["issues", "opened"]))
    assert (issue.number, issue.author, issue.state) == (1, "Codertocat", "open")


@needs_samples
def test_a_sample_that_was_signed_is_taken_and_no_other() -> None:
    vectors = json.loads((SPECS / "samples/signature_vectors.json").read_text())
    found = [one for one in vectors if one["provider"] == "github"]
    for one in found:
        headers = {name.lower(): value for name, value in one["headers"].items()}
        sent = sdk.WebhookDelivery("POST", headers, {}, one["body"].encode(), None, "application/json")
        try:
            hooks.SIGNED.check(one["secret"], sent, wired(GitHub()).moment)
            taken = True
        except sdk.BadSignature:
            taken = False
        assert taken is one["valid"], one
    assert len(found) == 3
