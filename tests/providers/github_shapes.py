"""What GitHub's objects look like: every field that its description requires, and addresses where it has addresses.

https://docs.github.com/rest and https://docs.github.com/webhooks/webhook-events-and-payloads
"""

import hashlib
import re
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from tests.providers.oauth import User

API, SITE = "https://api.github.com", "https://github.com"
OF_USERS = re.findall(
    r"\w+", "events followers following gists organizations received_events repos starred subscriptions"
)
"""What people have addresses of, each in a field with ``_url`` behind it; and repositories."""
OF_REPOSITORIES = re.findall(
    r"\w+",
    "archive assignees blobs branches collaborators comments commits compare contents contributors deployments downloads events"
    " forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels languages merges milestones"
    " notifications pulls releases stargazers statuses subscribers subscription tags teams trees clone git ssh svn",
)
COUNTS = ("forks", "forks_count", "open_issues", "open_issues_count", "size", "watchers", "watchers_count")


def stamp() -> str:
    """Now, as GitHub writes it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def person(user: User) -> dict[str, Any]:
    """Somebody, as others see them."""
    place = f"{API}/users/{user.login}"
    return {
        "login": user.login,
        "id": int(user.id),
        "node_id": f"U_{user.id}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{user.id}",
        "gravatar_id": "",
        "url": place,
        "html_url": f"{SITE}/{user.login}",
        **{f"{name}_url": f"{place}/{name}" for name in OF_USERS},
        "type": "User",
        "site_admin": False,
    }


def oneself(user: User) -> dict[str, Any]:
    """Somebody, as they are told of themselves without the scope ``user``."""
    words = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location"))
    counts = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
    times = dict.fromkeys(("created_at", "updated_at"), "2008-01-14T04:33:35Z")
    return {**person(user), **words, **counts, **times, "name": user.name}


def repository(full_name: str, owner: User, stars: int, *, private: bool) -> dict[str, Any]:
    """A repository."""
    place = f"{API}/repos/{full_name}"
    return {
        "id": 1296269,
        "node_id": "R_1296269",
        "name": full_name.partition("/")[2],
        "full_name": full_name,
        "owner": person(owner),
        "private": private,
        "html_url": f"{SITE}/{full_name}",
        "url": place,
        **{f"{name}_url": f"{place}/{name}" for name in OF_REPOSITORIES},
        **{f"has_{name}": True for name in ("downloads", "issues", "pages", "projects", "wiki")},
        **dict.fromkeys(COUNTS, 0),
        **dict.fromkeys(("description", "homepage", "language", "license", "mirror_url")),
        **dict.fromkeys(("archived", "disabled", "fork"), False),
        **dict.fromkeys(("created_at", "pushed_at", "updated_at"), "2011-01-26T19:01:12Z"),
        "stargazers_count": stars,
        "default_branch": "main",
    }


def label(full_name: str, name: str) -> dict[str, Any]:
    """A label."""
    shown = {"id": 208045946, "node_id": "LA_1", "url": f"{API}/repos/{full_name}/labels/x", "name": name}
    return {**shown, "description": None, "color": "f29513", "default": False}


def issue(full_name: str, number: int, user: User, given: dict[str, Any]) -> dict[str, Any]:
    """An issue."""
    place = f"{API}/repos/{full_name}/issues/{number}"
    return {
        "id": 10_000_000_000 + number,
        "node_id": f"I_{number}",
        "number": number,
        "title": given["title"],
        "body": given.get("body"),
        "user": person(user),
        "labels": [label(full_name, name) for name in given.get("labels", [])],
        "state": "open",
        "locked": False,
        **dict.fromkeys(("assignee", "milestone", "closed_at")),
        "comments": 0,
        "created_at": stamp(),
        "updated_at": stamp(),
        "url": place,
        "repository_url": f"{API}/repos/{full_name}",
        "html_url": f"{SITE}/{full_name}/issues/{number}",
        "labels_url": f"{place}/labels{{/name}}",
        **{f"{name}_url": f"{place}/{name}" for name in ("comments", "events")},
    }


def comment(full_name: str, number: int, key: int, user: User, body: str) -> dict[str, Any]:
    """A comment under an issue."""
    place = f"{API}/repos/{full_name}/issues"
    return {
        "id": key,
        "node_id": f"IC_{key}",
        "url": f"{place}/comments/{key}",
        "html_url": f"{SITE}/{full_name}/issues/{number}#issuecomment-{key}",
        "issue_url": f"{place}/{number}",
        "user": person(user),
        "created_at": stamp(),
        "updated_at": stamp(),
        "body": body,
    }


def hook(full_name: str, key: int, given: dict[str, Any]) -> dict[str, Any]:
    """A webhook; its secret is not shown."""
    place = f"{API}/repos/{full_name}/hooks/{key}"
    return {
        "type": "Repository",
        "id": key,
        "name": "web",
        "active": given["active"],
        "events": given["events"],
        "config": {**given["config"], "secret": "********"},
        "created_at": stamp(),
        "updated_at": stamp(),
        "url": place,
        "test_url": f"{place}/test",
        "ping_url": f"{place}/pings",
        "last_response": {"code": None, "status": "unused", "message": None},
    }


def sha_of(raw: bytes) -> str:
    """Git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def file(full_name: str, branch: str, path: str, raw: bytes, *, shown: bool) -> dict[str, Any]:
    """A file; ``shown`` with its content."""
    place, sha = f"{API}/repos/{full_name}", sha_of(raw)
    links = {
        "html": f"{SITE}/{full_name}/blob/{branch}/{path}",
        "git": f"{place}/git/blobs/{sha}",
        "self": f"{place}/contents/{path}",
    }
    found = {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": len(raw),
        "type": "file",
        "url": links["self"],
        "html_url": links["html"],
        "git_url": links["git"],
        "download_url": f"https://raw.githubusercontent.com/{full_name}/{branch}/{path}",
        "_links": links,
    }
    return {**found, "content": b64encode(raw).decode(), "encoding": "base64"} if shown else found
