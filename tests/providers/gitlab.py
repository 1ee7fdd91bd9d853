"""A stand-in for GitLab: consent with tokens that rotate, projects with webhooks, issues, comments and pipelines.

https://docs.gitlab.com/api/rest/ and https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

import itertools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, Grant, User
from tests.providers.signing import shared_token

SITE, SECOND = "ada/web/site", "ada/notes"
PAT = "glpat-1a2B3c4D5e6F7g8H9i0J"
API, READ_API, READ_USER = "api", "read_api", "read_user"
MAINTAINER, DEVELOPER = 40, 30
QUICK = re.compile(r"^/(close|reopen|assign|label|confidential|move)\b.*$", re.MULTILINE | re.IGNORECASE)
"""Lines that GitLab carries out instead of writing them."""
TITLES = {
    "push": "Push Hook",
    "issue": "Issue Hook",
    "merge_request": "Merge Request Hook",
    "pipeline": "Pipeline Hook",
    "tag_push": "Tag Push Hook",
}
FLAGS = {
    "push": "push_events",
    "issue": "issues_events",
    "merge_request": "merge_requests_events",
    "pipeline": "pipeline_events",
    "tag_push": "tag_push_events",
}


def stamp() -> str:
    """The present moment, as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Project:
    """One project of ada's."""

    def __init__(self, number: int, path: str) -> None:
        self.number, self.path = number, path
        self.issues: list[dict[str, Any]] = []
        self.merge_requests = [1]
        self.notes: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self.labels = ["bug", "дверь 🚪"]
        self.branches = ["main", "mend/door"]
        self.pipelines: list[dict[str, Any]] = []
        self.variables: dict[int, list[dict[str, str]]] = {}
        self.hooks: dict[int, dict[str, Any]] = {}
        """As they were asked for, with their secrets, and their ``alert_status``."""
        self.role = MAINTAINER
        self.moved = False

    def told(self) -> dict[str, Any]:
        """The project in a delivery."""
        name = self.path.rpartition("/")[2]
        return {
            "id": self.number,
            "name": name,
            "description": "",
            "web_url": f"https://gitlab.com/{self.path}",
            "path_with_namespace": self.path,
            "default_branch": "main",
        }


class GitLab(StandIn):
    """Two projects of the first user; `PAT` is the second user's access token."""

    base_path = "/api/v4"

    def __init__(self) -> None:
        dialect = Dialect(
            authorize="/oauth/authorize",
            token="/oauth/token",
            revoke="/oauth/revoke",
            expires_in=7200,
            rotates=True,
            token_type="bearer",
            shape=lambda answer, grant: {**answer, "created_at": int(datetime.now(UTC).timestamp())},
        )
        super().__init__("gitlab", dialect)
        self.projects = {SITE: Project(15, SITE), SECOND: Project(16, SECOND)}
        self.auth.grants.append(Grant(self.users[1], (API,), {PAT: float("inf")}))
        self.carried_out: list[str] = []
        """Quick actions that were found in texts."""
        self._numbers = itertools.count(1)
        self.route("GET", "/api/v4/user", self._user, scopes=(READ_USER,))
        self.route("GET", "/api/v4/projects", self._projects, scopes=(READ_API,))
        for method, path, handler, scope in (
            ("GET", "/hooks", self._hooks, READ_API),
            ("POST", "/hooks", self._hook, API),
            ("GET", "/hooks/{hook:int}", self._hook_read, READ_API),
            ("PUT", "/hooks/{hook:int}", self._hook_change, API),
            ("DELETE", "/hooks/{hook:int}", self._hook_delete, API),
            ("GET", "/issues", self._issues, READ_API),
            ("POST", "/issues", self.open, API),
            ("GET", "/{what}/{number:int}/notes", self._notes, READ_API),
            ("POST", "/{what}/{number:int}/notes", self.comment, API),
            ("GET", "/pipelines", self._pipelines, READ_API),
            ("GET", "/pipelines/{number:int}/variables", self._variables, READ_API),
            ("POST", "/pipeline", self.start, API),
            ("GET", "/repository/branches", self._branches, READ_API),
            ("GET", "/labels", self._labels, READ_API),
        ):
            self.route(method, f"/api/v4/projects/{{project:path}}{path}", self._within(handler), scopes=(scope,))

    # What happens in projects

    async def happens(
        self, path: str, kind: str, body: Mapping[str, Any], *, key: str = "", token: str | None = None
    ) -> list[httpx.Response]:
        """Something happens, and every webhook that listens for it is told; gives the answers."""
        there = self.projects[path]
        who = self.users[1]
        by = {"user_username": who.login, "user_name": who.name} if kind == "push" else {"user": person(who)}
        told = {"object_kind": kind, **by, "project": there.told(), **body}
        answers = []
        for number, hook in there.hooks.items():
            if hook.get(FLAGS[kind]) and hook["alert_status"] == "executable":
                headers = {
                    "X-Gitlab-Event": TITLES[kind],
                    "X-Gitlab-Event-UUID": str(uuid4()),
                    "X-Gitlab-Webhook-UUID": f"00000000-0000-4000-8000-{number:012}",
                    "X-Gitlab-Instance": "https://gitlab.com",
                    "Idempotency-Key": key or str(uuid4()),
                    "User-Agent": "GitLab/18.5.0-pre",
                }
                sign = shared_token(hook["token"], "X-Gitlab-Token")
                answers.append(await self.deliver(hook["url"], told, sign=sign, headers=headers))
        return answers

    async def pushed(self, message: str, branch: str = "main", path: str = SITE, **more: Any) -> list[httpx.Response]:
        """The second user pushes a commit."""
        return await self.happens(path, "push", push(message, branch, self.users[1]), **more)

    async def opened(self, title: str, text: str = "", path: str = SITE, **more: Any) -> list[httpx.Response]:
        """The second user opens an issue."""
        made = self._new_issue(self.projects[path], self.users[1], {"title": title, "description": text})
        return await self.issue_is("open", made, path, **more)

    async def issue_is(self, action: str, issue: dict[str, Any], path: str = SITE, **more: Any) -> list[httpx.Response]:
        """Something becomes of an issue."""
        known = ("id", "iid", "title", "description", "state", "confidential", "created_at")
        about = {**{name: issue[name] for name in known}, "action": action, "url": issue["web_url"], "type": "Issue"}
        body = {"object_attributes": about, "labels": [{"title": one} for one in issue["labels"]], "assignees": []}
        return await self.happens(path, "issue", body, **more)

    async def finished(self, status: str, branch: str = "main", path: str = SITE, **more: Any) -> list[httpx.Response]:
        """A pipeline comes to an end."""
        return await self.happens(path, "pipeline", pipeline(status, branch), **more)

    async def proposed(self, title: str, path: str = SITE, **more: Any) -> list[httpx.Response]:
        """The second user opens a merge request."""
        return await self.happens(path, "merge_request", merge_request("open", title), **more)

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What others do in a project."""
        return {
            f"Grace pushes to {SITE}": lambda: self.pushed("Mend the door 🚪"),
            f"Grace opens an issue in {SITE}": lambda: self.opened("The door squeaks", "When it rains."),
            f"Grace opens a merge request in {SITE}": lambda: self.proposed("Mend the door"),
            f"A pipeline of {SITE} fails": lambda: self.finished("failed"),
        }

    # Rules for every call

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """``api`` holds every scope; without the scope the words are OAuth's."""
        refused = super().admit(call, auth, ())
        if refused or auth == "none" or not call.grant or {*scopes, API} & set(call.grant.scopes) or not scopes:
            return refused
        told = "The request requires higher privileges than provided by the access token."
        wanted = {"error": "insufficient_scope", "error_description": told, "scope": " ".join(scopes)}
        return JSONResponse(wanted, 403)

    def refuse(self, status: int, code: str, words: Any) -> Response:
        """Errors as the API writes them."""
        return JSONResponse({"message": "401 Unauthorized" if status == 401 else words}, status)

    def _within(self, handler: Callable[[Call, Project], Awaitable[Any]]) -> Callable[[Call], Awaitable[Any]]:
        async def handle(call: Call) -> Any:
            path = call.parameters["project"]
            by_number = {str(one.number): one for one in self.projects.values()}
            there = self.projects.get(path) or by_number.get(path)
            if there is None or f"/projects/{path.replace('/', '%2F')}/" not in call.raw_path:
                return self.refuse(404, "", "404 Project Not Found")
            moved = there.moved and path not in by_number
            if moved and call.method == "GET":
                return JSONResponse({}, 302, {"Location": f"{self.url}/api/v4/projects/{there.number}"})
            if moved:
                return self.refuse(405, "", "405 Non GET methods are not allowed for moved projects")
            if "/hooks" in call.path and there.role < MAINTAINER:
                return self.refuse(403, "", "403 Forbidden")
            return await handler(call, there)

        return handle

    # Accounts and choices

    async def _user(self, call: Call) -> Any:
        return {**person(call.user), "state": "active", "email": call.user.email, "bot": False}

    async def _projects(self, call: Call) -> Any:
        listed = [
            {**there.told(), "name_with_namespace": there.path.replace("/", " / ")} for there in self.projects.values()
        ]
        return page(call, listed)

    async def _branches(self, call: Call, there: Project) -> Any:
        return page(call, [{"name": name, "protected": name == "main"} for name in there.branches])

    async def _labels(self, call: Call, there: Project) -> Any:
        return page(call, [{"id": n, "name": name, "color": "#d9534f"} for n, name in enumerate(there.labels, 1)])

    # Webhooks

    async def _hooks(self, call: Call, there: Project) -> Any:
        return page(call, [shown(there, number) for number in there.hooks])

    async def _hook(self, call: Call, there: Project) -> Any:
        if not re.match(r"https?://", call.json.get("url", "")):
            return self.refuse(422, "", {"url": ["is blocked: Only allowed schemes are http, https"]})
        number = next(self._numbers)
        there.hooks[number] = {"push_events": True, "alert_status": "executable", **call.json}
        return 201, shown(there, number)

    async def _hook_read(self, call: Call, there: Project) -> Any:
        number = call.parameters["hook"]
        return shown(there, number) if number in there.hooks else self.refuse(404, "", "404 Not found")

    async def _hook_change(self, call: Call, there: Project) -> Any:
        number = call.parameters["hook"]
        if number not in there.hooks:
            return self.refuse(404, "", "404 Not found")
        there.hooks[number] |= call.json
        return shown(there, number)

    async def _hook_delete(self, call: Call, there: Project) -> Any:
        return None if there.hooks.pop(call.parameters["hook"], None) else self.refuse(404, "", "404 Not found")

    # Issues and comments

    def _new_issue(self, there: Project, user: User, given: Mapping[str, Any]) -> dict[str, Any]:
        number = len(there.issues) + 1
        made = {
            "id": 300 + number,
            "iid": number,
            "project_id": there.number,
            "title": given["title"],
            "description": given.get("description"),
            "state": "opened",
            "labels": [one for one in given.get("labels", "").split(",") if one],
            "confidential": given.get("confidential", False),
            "author": person(user),
            "created_at": stamp(),
            "web_url": f"https://gitlab.com/{there.path}/-/issues/{number}",
        }
        there.issues.append(made)
        return made

    async def _issues(self, call: Call, there: Project) -> Any:
        found = [one for one in there.issues if call.query.get("author_id") in (None, str(one["author"]["id"]))]
        return page(call, list(reversed(found)))

    async def open(self, call: Call, there: Project) -> Any:
        """Carry out a call that opens an issue."""
        if len(call.json.get("title", "")) > 255:
            return self.refuse(400, "", {"title": ["is too long (maximum is 255 characters)"]})
        text = self._carried_out(call.json.get("description", ""))
        return 201, self._new_issue(there, call.user, {**call.json, "description": text})

    async def _notes(self, call: Call, there: Project) -> Any:
        place = (call.parameters["what"], call.parameters["number"])
        return page(call, list(reversed(there.notes.get(place, []))))

    async def comment(self, call: Call, there: Project) -> Any:
        """Carry out a call that writes a comment; one of nothing but quick actions writes none."""
        what, number = call.parameters["what"], call.parameters["number"]
        known = range(1, len(there.issues) + 1) if what == "issues" else there.merge_requests
        if number not in known:
            return self.refuse(404, "", "404 Not found")
        text = self._carried_out(call.json["body"])
        if not text.strip():
            return 202, {"commands_changes": {}, "summary": ["Done."]}
        made = {
            "id": 900 + next(self._numbers),
            "body": text,
            "author": person(call.user),
            "created_at": stamp(),
            "system": False,
            "noteable_iid": number,
        }
        there.notes.setdefault((what, number), []).append(made)
        return 201, made

    def _carried_out(self, text: str) -> str:
        plain = text.replace("\r", "")
        self.carried_out += [found.group() for found in QUICK.finditer(plain)]
        return QUICK.sub("", plain).rstrip()

    # Pipelines

    async def _pipelines(self, call: Call, there: Project) -> Any:
        wanted = {name: call.query[name] for name in ("ref", "source") if name in call.query}
        found = [one for one in there.pipelines if wanted.items() <= one.items()]
        mine = [one for one in found if call.query.get("username") in (None, one["user"]["username"])]
        return page(call, [{k: v for k, v in one.items() if k != "user"} for one in reversed(mine)])

    async def _variables(self, call: Call, there: Project) -> Any:
        return [{**one, "variable_type": "env_var"} for one in there.variables.get(call.parameters["number"], [])]

    async def start(self, call: Call, there: Project) -> Any:
        """Carry out a call that starts a pipeline."""
        if call.json["ref"] not in there.branches:
            return self.refuse(400, "", {"base": ["Reference not found"]})
        number = 30 + next(self._numbers)
        there.variables[number] = call.json.get("variables", [])
        made = {
            "id": number,
            "iid": len(there.pipelines) + 1,
            "project_id": there.number,
            "sha": "b" * 40,
            "ref": call.json["ref"],
            "status": "created",
            "source": "api",
            "created_at": stamp(),
            "web_url": f"https://gitlab.com/{there.path}/-/pipelines/{number}",
            "user": person(call.user),
        }
        there.pipelines.append(made)
        return 201, made


# Shapes


def person(user: User) -> dict[str, Any]:
    """A user."""
    return {"id": int(user.id), "username": user.login, "name": user.name, "avatar_url": None}


def shown(there: Project, number: int) -> dict[str, Any]:
    """A webhook as the API shows it: never with its secret."""
    off = dict.fromkeys(FLAGS.values(), False)
    plain = {name: value for name, value in there.hooks[number].items() if name != "token"}
    return {"id": number, "project_id": there.number, **off, **plain, "created_at": stamp()}


def push(message: str, branch: str, author: User) -> dict[str, Any]:
    """What a push of two commits says; the newest comes last."""
    older = {"id": "c" * 40, "message": "Measure the door", "author": {"name": author.name, "email": "[REDACTED]"}}
    newest = {"id": "b" * 40, "message": message, "author": {"name": author.name, "email": "[REDACTED]"}}
    return {
        "event_name": "push",
        "before": "a" * 40,
        "after": "b" * 40,
        "ref": f"refs/heads/{branch}",
        "checkout_sha": "b" * 40,
        "commits": [older, newest],
        "total_commits_count": 2,
    }


def merge_request(action: str, title: str, **more: Any) -> dict[str, Any]:
    """What is said of a merge request."""
    about = {
        "id": 93,
        "iid": 1,
        "title": title,
        "description": "It squeaked.",
        "state": {"merge": "merged", "close": "closed"}.get(action, "opened"),
        "action": action,
        "source_branch": "mend/door",
        "target_branch": "main",
        "draft": False,
        "created_at": "2026-03-01T08:00:00Z",
        "last_commit": {"id": "b" * 40, "message": title},
        "url": f"https://gitlab.com/{SITE}/-/merge_requests/1",
    }
    people = {"assignees": [{"username": "ada"}], "reviewers": [{"username": "grace"}]}
    return {"object_attributes": {**about, **more}, "labels": [{"title": "bug"}], **people}


def pipeline(status: str, branch: str = "main", **more: Any) -> dict[str, Any]:
    """What is said of a pipeline."""
    ended = status not in ("running", "manual")
    about = {
        "id": 31,
        "iid": 3,
        "name": None,
        "ref": branch,
        "tag": False,
        "sha": "b" * 40,
        "source": "push",
        "status": status,
        "created_at": "2026-03-01 08:00:00 UTC",
        "finished_at": "2026-03-01 08:01:03 UTC" if ended else None,
        "duration": 63 if ended else None,
        "url": f"https://gitlab.com/{SITE}/-/pipelines/31",
    }
    failed = status == "failed"
    builds = [
        {"name": "lint", "status": "failed", "allow_failure": True},
        {"name": "tests", "status": "failed" if failed else "success", "allow_failure": False},
    ]
    return {"object_attributes": {**about, **more}, "commit": {"message": "Mend the door 🚪"}, "builds": builds}


def page(call: Call, found: list[Any]) -> list[Any]:
    """The part that was asked for."""
    size, number = int(call.query.get("per_page", 20)), int(call.query.get("page", 1))
    return found[(number - 1) * size : number * size]


def make() -> StandIn:
    """With two projects in which nothing has happened."""
    return GitLab()
