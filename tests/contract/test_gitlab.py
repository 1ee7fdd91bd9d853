"""What GitLab's nodes send is as its documentation says, and its signed samples are taken or refused as they say.

GitLab's description of its API is not among the specifications, so these rules were written down here from the pages of
https://docs.gitlab.com/api/: project_webhooks, issues, notes, pipelines, projects, branches, labels and users.
They hold requests alone.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema import Draft202012Validator

from area.nodes import sdk
from area.nodes.gitlab import hooks, pipelines, service, writing
from area.nodes.gitlab.projects import branch_choices, label_choices, project_choices
from area.nodes.gitlab.provider import identify
from tests.contract.documents import SHARED, SPECS, ContractBroken
from tests.nodes.gitlab_wire import delivery, wired
from tests.providers.base import StandIn
from tests.providers.gitlab import SITE, GitLab

PLACE = "/api/v4/projects/{project}"
PAGED = {"page": r"\d+", "per_page": r"[1-9]\d?|100"}


def closed(*required: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


TEXT, FLAG = {"type": "string", "minLength": 1}, {"type": "boolean"}
HOOK = closed(
    "url",
    url={"type": "string", "pattern": "^https?://", "maxLength": 2048},
    token=TEXT,
    enable_ssl_verification=FLAG,
    **dict.fromkeys(("push_events", "issues_events", "merge_requests_events", "pipeline_events"), FLAG),
)
BODIES: dict[str, dict[str, Any] | None] = {
    "GET /api/v4/user": None,
    "GET /api/v4/projects": None,
    f"GET {PLACE}/repository/branches": None,
    f"GET {PLACE}/labels": None,
    f"GET {PLACE}/hooks": None,
    f"POST {PLACE}/hooks": HOOK,
    f"GET {PLACE}/hooks/{{number}}": None,
    f"PUT {PLACE}/hooks/{{number}}": HOOK,
    f"DELETE {PLACE}/hooks/{{number}}": None,
    f"GET {PLACE}/issues": None,
    f"POST {PLACE}/issues": closed(
        "title",
        title={**TEXT, "maxLength": 255},
        description={"type": "string", "maxLength": 1_000_000},
        labels=TEXT,
        confidential=FLAG,
    ),
    f"GET {PLACE}/issues/{{number}}/notes": None,
    f"POST {PLACE}/issues/{{number}}/notes": closed("body", body={**TEXT, "maxLength": 1_000_000}),
    f"GET {PLACE}/merge_requests/{{number}}/notes": None,
    f"POST {PLACE}/merge_requests/{{number}}/notes": closed("body", body={**TEXT, "maxLength": 1_000_000}),
    f"GET {PLACE}/pipelines": None,
    f"GET {PLACE}/pipelines/{{number}}/variables": None,
    f"POST {PLACE}/pipeline": closed(
        "ref",
        ref=TEXT,
        variables={"type": "array", "items": closed("key", "value", key=TEXT, value={"type": "string"})},
    ),
}
"""Calls, and what their bodies must be; None: there is no body."""
SORTED = {"order_by": "created_at|updated_at", "sort": "asc|desc"}
QUERIES: dict[str, dict[str, str]] = {
    "GET /api/v4/projects": {
        **PAGED,
        **dict.fromkeys(("membership", "simple", "archived"), "true|false"),
        "order_by": "id|name|path|created_at|updated_at|last_activity_at|similarity",
    },
    f"GET {PLACE}/repository/branches": PAGED,
    f"GET {PLACE}/labels": PAGED,
    f"GET {PLACE}/hooks": PAGED,
    f"GET {PLACE}/issues": {**PAGED, **SORTED, "author_id": r"\d+", "scope": "created_by_me|assigned_to_me|all"},
    f"GET {PLACE}/issues/{{number}}/notes": {**PAGED, **SORTED},
    f"GET {PLACE}/merge_requests/{{number}}/notes": {**PAGED, **SORTED},
    f"GET {PLACE}/pipelines": {**PAGED, "ref": ".+", "source": "api", "username": r"[\w.-]+"},
}
"""Calls, and the patterns of what they may ask by name."""
PATTERNS = {
    called: re.compile(
        re.escape(called).replace(r"\{project\}", r"(\d+|[\w.-]+(%2F[\w.-]+)+)").replace(r"\{number\}", r"\d+")
    )
    for called in BODIES
}


def check(method: str, path: str, query: str, headers: Any, body: bytes) -> None:
    """Raise ContractBroken unless a request is as it is documented."""
    about = f"gitlab: {method} {path}"
    called = next((one for one, pattern in PATTERNS.items() if pattern.fullmatch(f"{method} {path}")), None)
    if called is None:
        raise ContractBroken(f"{about} is no call that was written down")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if not re.fullmatch(QUERIES.get(called, {}).get(name, r"(?!)"), value):
            raise ContractBroken(f"{about} does not take {name}={value}")
    wanted = BODIES[called]
    if wanted is None and body:
        raise ContractBroken(f"{about} has a body")
    if wanted is not None:
        if not headers.get("content-type", "").startswith("application/json"):
            raise ContractBroken(f"{about} is not JSON")
        for error in Draft202012Validator(wanted).iter_errors(json.loads(body)):
            raise ContractBroken(f"{about}: {error.message}")
    if not headers.get("authorization", "").startswith("Bearer ") or not headers.get("user-agent"):
        raise ContractBroken(f"{about} does not say who asks")


def audit(standin: StandIn) -> int:
    """Check every call of the API that reached the stand-in; gives their number. Raises: ContractBroken."""
    calls = [call for call in standin.calls if call.path not in standin.own_paths]
    for call in calls:
        check(call.method, call.raw_path, call.request.url.query, call.headers, call.body)
    return len(calls)


async def test_every_call_is_as_documented() -> None:
    there = GitLab()
    ctx = wired(there)
    for number, action in enumerate(service.actions.values()):
        where = action.inputs.model_validate({"project": SITE})
        hook = sdk.Hook(f"h{number}", f"https://area.example/hooks/{number}", "s" * 64)
        assert action.subscriber
        assert action.unsubscriber
        assert action.still_there
        made = await action.subscriber(ctx, where, hook)
        assert await action.subscriber(ctx, where, hook) == made
        assert await action.still_there(ctx, where, made.remote_id)
        await action.unsubscriber(ctx, where, made.remote_id)
    ctx.tried_since = ctx.moment
    full = {
        "title": "Ça grince 🚪" + "x" * 240,
        "body": "@a" * 300_000,
        "labels": ["bug", "дверь"],
        "confidential": True,
    }
    issue = writing.NewIssue(project=SITE, **full)
    comment = writing.NewComment(project=SITE, number=1, body="ça")
    review = comment.model_copy(update={"under": writing.Kind.MERGE_REQUEST})
    start = pipelines.Start(project=SITE, ref="mend/door", variables={"TO": "прод"})
    for node, given in (
        (writing.create_issue, issue),
        (writing.comment_on, comment),
        (writing.comment_on, review),
        (pipelines.trigger_pipeline, start),
    ):
        assert node.reconciler
        assert await node.reconciler(ctx, given) is None
        assert await node.fn(ctx, given) == await node.reconciler(ctx, given)
    for choices in (project_choices, branch_choices, label_choices):
        assert len(await choices(ctx, {"project": SITE})) == 2
    await identify(ctx)
    assert audit(there) > 40
    asked = {(call.method, call.raw_path) for call in there.calls}
    unused = [one for one, pattern in PATTERNS.items() if not any(pattern.fullmatch(" ".join(call)) for call in asked)]
    assert unused == [], "rules that nothing was held to"


RAW = "/api/v4/projects/ada%2Fsite"
WRONG: list[tuple[str, str, str, Any]] = [
    ("POST", f"{RAW}/hooks", "", {"url": "https://area.example", "colour": "red"}),
    ("POST", f"{RAW}/issues", "", {"title": "x", "labels": ["bug"]}),
    ("POST", f"{RAW}/issues", "", {"title": "x" * 256}),
    ("POST", "/api/v4/projects/ada/site/issues", "", {"title": "x"}),
    ("POST", f"{RAW}/pipelines", "", {"ref": "main"}),
    ("POST", f"{RAW}/pipeline", "", {"ref": "main", "variables": {"A": "b"}}),
    ("GET", f"{RAW}/labels", "per_page=101", None),
    ("GET", f"{RAW}/issues", "creator=ada", None),
    ("DELETE", f"{RAW}/hooks/1", "", {}),
]


@pytest.mark.parametrize(("method", "path", "query", "body"), WRONG, ids=range(len(WRONG)))
def test_the_rules_bite(method: str, path: str, query: str, body: Any) -> None:
    raw = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": "Bearer x", "user-agent": "AREA", "content-type": "application/json"}
    with pytest.raises(ContractBroken):
        check(method, path, query, headers, raw)


# Samples

FILE = SPECS / "samples/signature_vectors.json"
needs_samples = pytest.mark.skipif(not FILE.exists(), reason=f"GitLab's samples are not there: {SHARED} is missing")


def taken(secret: str, sent: sdk.WebhookDelivery) -> bool:
    try:
        hooks.SECRET.check(secret, sent)
    except sdk.BadSignature:
        return False
    return True


@needs_samples
def test_a_sample_that_was_signed_is_taken_and_no_other() -> None:
    found = [one for one in json.loads(FILE.read_text()) if one["provider"] == "gitlab"]
    for one in found:
        headers = {name.lower(): value for name, value in one["headers"].items()}
        sent = sdk.WebhookDelivery("POST", headers, {}, one["body"].encode(), None, "application/json")
        assert taken(one["secret"], sent) is one["valid"], one
        assert not taken(f"{one['secret']}x", sent)
        assert not taken(one["secret"], sdk.WebhookDelivery("POST", {}, {}, sent.raw, None, "application/json"))
    assert found


@needs_samples
def test_the_headers_of_a_sample_prove_and_name_the_delivery() -> None:
    headers = json.loads((SPECS / "samples/other_webhooks.json").read_text())["gitlab_push_headers"]
    sent = delivery({}, **{name.lower(): value for name, value in headers.items()})
    assert taken("gl-secret", sent)
    assert hooks.named(sent) == headers["Idempotency-Key"]
