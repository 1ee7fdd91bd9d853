"""A stand-in for GitHub: consent, repositories with webhooks, issues, comments, labels, files and workflows.

https://docs.github.com/rest and https://docs.github.com/webhooks
"""

import itertools
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx
from starlette.responses import JSONResponse, Response

from tests.providers import github_shapes as shapes
from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, Grant
from tests.providers.signing import hmac_body

SITE, HIDDEN = "ada/site", "ada/hidden"
PAT = "github_pat_11ABCDEFG0123456789_abcdefghij"
HOOKS, REPO = "admin:repo_hook", "repo"
MISSING = "Not Found"


class Repository:
    """One repository of ada's."""

    def __init__(self, full_name: str, *, private: bool = False) -> None:
        self.full_name, self.private = full_name, private
        self.issues: list[dict[str, Any]] = []
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.labels = ["bug", "дверь 🚪"]
        self.branches = ["main", "mend/door"]
        self.files: dict[tuple[str, str], bytes] = {}
        self.hooks: dict[int, dict[str, Any]] = {}
        """As they were asked for, with their secrets."""
        self.started: list[dict[str, Any]] = []
        """Workflows that were dispatched."""
        self.stars = 0
        self.has_issues = True
        self.moved = False


class GitHub(StandIn):
    """Two repositories of the first user; `PAT` is the second user's personal access token."""

    def __init__(self) -> None:
        dialect = Dialect(
            authorize="/login/oauth/authorize",
            token="/login/oauth/access_token",
            revoke=None,
            expires_in=None,
            refreshes=False,
            scope_as="comma",
            form_answers=True,
            errors_in_200=True,
        )
        super().__init__("github", dialect)
        self.repositories = {SITE: Repository(SITE), HIDDEN: Repository(HIDDEN, private=True)}
        self.auth.grants.append(Grant(self.users[1], (REPO,), {PAT: float("inf")}))
        self.unpinged: list[tuple[Repository, int]] = []
        self._numbers = itertools.count(1)
        at = "/repos/{owner}/{repo}"
        self.route("GET", "/user", self._user)
        self.route("GET", "/user/repos", self._repositories)
        self.route("DELETE", "/applications/{client}/token", self._revoke, auth="none")
        for method, path, handler, scope in (
            ("GET", "/hooks", self._hooks, HOOKS),
            ("POST", "/hooks", self._hook, HOOKS),
            ("GET", "/hooks/{hook}", self._hook_read, HOOKS),
            ("PATCH", "/hooks/{hook}", self._hook_change, HOOKS),
            ("DELETE", "/hooks/{hook}", self._hook_delete, HOOKS),
            ("GET", "/issues", self._issues, REPO),
            ("POST", "/issues", self.open, REPO),
            ("GET", "/issues/{number}/comments", self._comments, REPO),
            ("POST", "/issues/{number}/comments", self.comment, REPO),
            ("POST", "/issues/{number}/labels", self._label, REPO),
            ("GET", "/contents/{path:path}", self._read, REPO),
            ("PUT", "/contents/{path:path}", self.write, REPO),
            ("POST", "/actions/workflows/{workflow}/dispatches", self._dispatch, REPO),
            ("GET", "/branches", self._branches, HOOKS),
            ("GET", "/labels", self._labels, REPO),
            ("GET", "/assignees", self._assignees, REPO),
            ("GET", "/actions/workflows", self._workflows, HOOKS),
        ):
            self.route(method, f"{at}{path}", self._within(handler), scopes=(scope,))

    # What happens in repositories

    async def happens(
        self, name: str, event: str, body: Mapping[str, Any], *, delivery: str = ""
    ) -> list[httpx.Response]:
        """Something happens, and every webhook that listens for it is told, signed; gives the answers."""
        there = self.repositories[name]
        await self.ping()
        about = shapes.repository(name, self.users[0], there.stars, private=there.private)
        told = {**body, "repository": about, "sender": shapes.person(self.users[1])}
        listening = [key for key, hook in there.hooks.items() if hook["active"] and event in hook["events"]]
        return [await self._tell(there, key, event, told, delivery) for key in listening]

    async def ping(self) -> list[httpx.Response]:
        """Webhooks that are new get their ping."""
        waiting, self.unpinged = self.unpinged, []
        told = {"zen": "Keep it logically awesome.", "sender": shapes.person(self.users[0])}
        return [
            await self._tell(
                there,
                key,
                "ping",
                {**told, "hook_id": key, "hook": shapes.hook(there.full_name, key, there.hooks[key])},
                "",
            )
            for there, key in waiting
            if key in there.hooks
        ]

    async def _tell(
        self, there: Repository, key: int, event: str, body: Mapping[str, Any], delivery: str
    ) -> httpx.Response:
        hook = there.hooks[key]
        headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": delivery or str(uuid4()), "X-GitHub-Hook-ID": str(key)}
        headers["User-Agent"] = "GitHub-Hookshot/044aadd"
        sign = hmac_body(hook["config"]["secret"], "X-Hub-Signature-256")
        return await self.deliver(hook["config"]["url"], body, sign=sign, headers=headers)

    async def pushed(self, message: str, branch: str = "main", name: str = SITE, **more: Any) -> list[httpx.Response]:
        """The second user pushes a commit."""
        author = {"name": self.users[1].name, "email": self.users[1].email, "username": self.users[1].login}
        commit = {"id": "b" * 40, "message": message, "author": author, "timestamp": shapes.stamp()}
        body = {
            "ref": f"refs/heads/{branch}",
            "before": "a" * 40,
            "after": "b" * 40,
            "commits": [commit],
            "head_commit": commit,
        }
        flags = {"created": False, "deleted": False, "forced": False}
        return await self.happens(
            name, "push", {**body, **flags, "compare": f"https://github.com/{name}/compare/a...b", **more}
        )

    async def opened(self, title: str, body: str | None = None, name: str = SITE, **more: Any) -> list[httpx.Response]:
        """The second user opens an issue."""
        found = self._new_issue(self.repositories[name], self.users[1], {"title": title, "body": body})
        return await self.happens(name, "issues", {"action": "opened", "issue": found}, **more)

    async def commented(self, issue: dict[str, Any], name: str = SITE) -> list[httpx.Response]:
        """The newest comment under an issue is told."""
        newest = self.repositories[name].comments[issue["number"]][-1]
        return await self.happens(name, "issue_comment", {"action": "created", "issue": issue, "comment": newest})

    async def starred(self, name: str = SITE, **more: Any) -> list[httpx.Response]:
        """The second user stars a repository."""
        self.repositories[name].stars += 1
        return await self.happens(name, "star", {"action": "created", "starred_at": shapes.stamp()}, **more)

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What others do in a repository."""
        return {
            f"Grace pushes to {SITE}": lambda: self.pushed("Mend the door 🚪"),
            f"Grace opens an issue in {SITE}": lambda: self.opened("The door squeaks", "When it rains."),
            f"Grace stars {SITE}": self.starred,
        }

    # Rules for every call

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """Calls without a User-Agent are refused; without the scope a thing is not there. ``repo`` includes webhooks."""
        if not call.headers.get("user-agent"):
            return self.refuse(403, "", "Request forbidden by administrative rules.")
        refused = super().admit(call, auth, ())
        if refused or auth == "none" or not call.grant:
            return refused
        return None if not scopes or {*scopes, REPO} & set(call.grant.scopes) else self.refuse(404, "", MISSING)

    def refuse(self, status: int, code: str, words: str, errors: Sequence[Any] = ()) -> Response:
        """Errors as the API writes them."""
        told = {
            "message": "Bad credentials" if status == 401 else words,
            "documentation_url": "https://docs.github.com/rest",
        }
        return JSONResponse({**told, **({"errors": list(errors)} if errors else {}), "status": str(status)}, status)

    def _within(self, handler: Callable[[Call, Repository], Awaitable[Any]]) -> Callable[[Call], Awaitable[Any]]:
        async def handle(call: Call) -> Any:
            name = f"{call.parameters['owner']}/{call.parameters['repo']}"
            there = self.repositories.get(name)
            if there is None:
                return self.refuse(404, "", MISSING)
            if there.moved:
                location = {"Location": f"{self.url}/repositories/1296269"}
                return JSONResponse({"message": "Moved Permanently"}, 301 if call.method == "GET" else 307, location)
            return await handler(call, there)

        return handle

    # Accounts

    async def _user(self, call: Call) -> Any:
        return shapes.oneself(call.user)

    async def _repositories(self, call: Call) -> Any:
        own = call.grant and REPO in call.grant.scopes
        shown = [one for one in self.repositories.values() if own or not one.private]
        return page(call, [shapes.repository(o.full_name, self.users[0], o.stars, private=o.private) for o in shown])

    async def _revoke(self, call: Call) -> Any:
        basic = httpx.BasicAuth(self.auth.client_id, self.auth.client_secret)._auth_header
        if call.headers.get("authorization") != basic:
            return self.refuse(401, "", "")
        grant = self.auth.find(call.json["access_token"])
        if grant is None:
            return self.refuse(404, "", MISSING)
        del grant.access[call.json["access_token"]]
        return None

    # Webhooks

    async def _hooks(self, call: Call, there: Repository) -> Any:
        return page(call, [shapes.hook(there.full_name, key, hook) for key, hook in there.hooks.items()])

    async def _hook(self, call: Call, there: Repository) -> Any:
        config = call.json["config"]
        if any(one["config"]["url"] == config["url"] for one in there.hooks.values()):
            told = [{"resource": "Hook", "code": "custom", "message": "Hook already exists on this repository"}]
            return self.refuse(422, "", "Validation Failed", told)
        key = 12_345_678 + next(self._numbers)
        there.hooks[key] = {name: call.json[name] for name in ("active", "events", "config")}
        self.unpinged.append((there, key))
        return 201, shapes.hook(there.full_name, key, there.hooks[key])

    async def _hook_read(self, call: Call, there: Repository) -> Any:
        key = int(call.parameters["hook"])
        return (
            shapes.hook(there.full_name, key, there.hooks[key]) if key in there.hooks else self.refuse(404, "", MISSING)
        )

    async def _hook_change(self, call: Call, there: Repository) -> Any:
        key = int(call.parameters["hook"])
        if key not in there.hooks:
            return self.refuse(404, "", MISSING)
        there.hooks[key] |= call.json
        return shapes.hook(there.full_name, key, there.hooks[key])

    async def _hook_delete(self, call: Call, there: Repository) -> Any:
        return None if there.hooks.pop(int(call.parameters["hook"]), None) else self.refuse(404, "", MISSING)

    # Issues

    def _new_issue(self, there: Repository, user: Any, given: dict[str, Any]) -> dict[str, Any]:
        there.issues.append(shapes.issue(there.full_name, len(there.issues) + 1, user, given))
        return there.issues[-1]

    async def _issues(self, call: Call, there: Repository) -> Any:
        found = [one for one in there.issues if call.query.get("creator") in (None, one["user"]["login"])]
        return page(call, list(reversed(found)))

    async def open(self, call: Call, there: Repository) -> Any:
        """Carry out a call that opens an issue."""
        if not there.has_issues:
            return self.refuse(410, "", "Issues has been disabled in this repository.")
        return 201, self._new_issue(there, call.user, call.json)

    def _issue(self, call: Call, there: Repository) -> dict[str, Any] | None:
        number = int(call.parameters["number"])
        return there.issues[number - 1] if number <= len(there.issues) else None

    async def _comments(self, call: Call, there: Repository) -> Any:
        found = there.comments.get(int(call.parameters["number"]), [])
        return page(call, [one for one in found if one["updated_at"] >= call.query.get("since", "")])

    async def comment(self, call: Call, there: Repository) -> Any:
        """Carry out a call that writes a comment."""
        issue = self._issue(call, there)
        if issue is None:
            return self.refuse(404, "", MISSING)
        made = shapes.comment(
            there.full_name, issue["number"], 99_262_140 + next(self._numbers), call.user, call.json["body"]
        )
        there.comments.setdefault(issue["number"], []).append(made)
        return 201, made

    async def _label(self, call: Call, there: Repository) -> Any:
        issue = self._issue(call, there)
        if issue is None:
            return self.refuse(404, "", MISSING)
        names = dict.fromkeys([one["name"] for one in issue["labels"]] + call.json["labels"])
        issue["labels"] = [shapes.label(there.full_name, name) for name in names]
        return issue["labels"]

    # Files, workflows, and what there is to choose from

    async def _read(self, call: Call, there: Repository) -> Any:
        path, branch = unquote(call.parameters["path"]), call.query.get("ref", "main")
        raw = there.files.get((branch, path))
        if raw is not None:
            return shapes.file(there.full_name, branch, path, raw, shown=True)
        inside = [key for key in there.files if key[0] == branch and key[1].startswith(f"{path}/")]
        listed = [shapes.file(there.full_name, branch, one, there.files[branch, one], shown=False) for _, one in inside]
        return listed or self.refuse(404, "", MISSING)

    async def write(self, call: Call, there: Repository) -> Any:
        """Carry out a call that commits a file."""
        path, branch = unquote(call.parameters["path"]), call.json.get("branch", "main")
        if branch not in there.branches:
            return self.refuse(404, "", f"Branch {branch} not found")
        before, raw = there.files.get((branch, path)), b64decode(call.json["content"], validate=True)
        if before is not None and "sha" not in call.json:
            return self.refuse(422, "", 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if call.json.get("sha") not in (None, before and shapes.sha_of(before)):
            return self.refuse(409, "", f"{path} does not match {call.json['sha']}")
        there.files[branch, path] = raw
        commit = {
            "sha": "c" * 40,
            "message": call.json["message"],
            "html_url": f"https://github.com/{there.full_name}/commit/c",
        }
        content = shapes.file(there.full_name, branch, path, raw, shown=False)
        return 201 if before is None else 200, {"content": content, "commit": commit}

    async def _dispatch(self, call: Call, there: Repository) -> Any:
        if call.parameters["workflow"] not in ("deploy.yml", "161335"):
            return self.refuse(404, "", MISSING)
        if call.json["ref"] not in there.branches:
            return self.refuse(422, "", f"No ref found for: {call.json['ref']}")
        there.started.append(call.json)
        return None

    async def _branches(self, call: Call, there: Repository) -> Any:
        return page(call, [{"name": name, "protected": False} for name in there.branches])

    async def _labels(self, call: Call, there: Repository) -> Any:
        return page(call, [shapes.label(there.full_name, name) for name in there.labels])

    async def _assignees(self, call: Call, there: Repository) -> Any:
        return page(call, [shapes.person(user) for user in self.users])

    async def _workflows(self, call: Call, there: Repository) -> Any:
        named = (("Deploy 🚀", ".github/workflows/deploy.yml"), ("CodeQL", "dynamic/github-code-scanning/codeql"))
        listed = [
            {"id": 161335 + n, "name": name, "path": path, "state": "active"} for n, (name, path) in enumerate(named)
        ]
        return {"total_count": len(listed), "workflows": listed}


def page(call: Call, found: list[Any]) -> list[Any]:
    """The part that was asked for."""
    size, number = int(call.query.get("per_page", 30)), int(call.query.get("page", 1))
    return found[(number - 1) * size : number * size]


def make() -> StandIn:
    """With two repositories in which nothing has happened."""
    return GitHub()
