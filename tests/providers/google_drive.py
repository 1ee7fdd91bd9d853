"""A stand-in for Google Drive: files, folders, what has changed, and who may see it. https://developers.google.com/workspace/drive/api/reference/rest/v3"""

import itertools
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.google import SCOPE, Google

READ, OWN = f"{SCOPE}drive.metadata.readonly", f"{SCOPE}drive.file"
FOLDER = "application/vnd.google-apps.folder"
ROOT, INBOX = "0AExampleRootPVA", "1InboxFolder"
PLACE = "/drive/v3"
SHOWN = ("id", "name", "mimeType", "size", "parents", "createdTime", "webViewLink", "owners")
MARKED = re.compile(r"appProperties has \{ key='(\w+)' and value='(\w+)' \} and trashed = false")


class GoogleDrive(Google):
    """The Drive of the first user, with a folder."""

    def __init__(self) -> None:
        super().__init__("google_drive")
        self.files: dict[str, dict[str, Any]] = {}
        self.texts: dict[str, str] = {}
        self.permissions: dict[str, list[dict[str, Any]]] = {}
        self.mails: list[dict[str, str]] = []
        self.changes: list[str] = []
        """Ids of files, each time that they change."""
        self.forgotten = 0
        self.page = 200
        self._numbers = itertools.count(1)
        self.put("Inbox 📥", FOLDER, key=INBOX)
        self.route("GET", f"{PLACE}/changes/startPageToken", self._start, scopes=(READ, OWN))
        self.route("GET", f"{PLACE}/changes", self._changes, scopes=(READ, OWN))
        self.route("GET", f"{PLACE}/files", self._list, scopes=(READ, OWN))
        self.route("POST", f"{PLACE}/files", self.create, scopes=(OWN,))
        self.route("POST", f"/upload{PLACE}/files", self.upload, scopes=(OWN,))
        self.route("POST", f"{PLACE}/files/{{id}}/permissions", self.share, scopes=(OWN,))
        self.route("GET", f"{PLACE}/files/{{id}}/permissions", self._permissions, scopes=(READ, OWN))

    # What happens in the Drive

    def put(self, name: str, kind: str = "application/pdf", *, folder: str = ROOT, key: str = "", **more: Any) -> str:
        """Somebody makes a file; gives its id."""
        key = key or f"file{next(self._numbers)}"
        fixed = {"id": key, "name": name, "mimeType": kind, "parents": [folder], "createdTime": stamp()}
        sized = {} if kind == FOLDER else {"size": "8"}
        owner = {
            "owners": [{"emailAddress": "ada@example.com"}],
            "webViewLink": f"https://drive.google.com/file/d/{key}/view",
        }
        self.files[key] = {**fixed, **sized, **owner, **more}
        self.changes.append(key)
        return key

    def change(self, key: str, **fields: Any) -> None:
        """Somebody changes a file."""
        self.files[key] |= fields
        self.changes.append(key)

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Files that come."""

        async def add() -> None:
            self.put("Rechnung 7.pdf", folder=INBOX)

        return {"A file comes into the inbox": add}

    # Calls

    async def _start(self, call: Call) -> Any:
        return {"kind": "drive#startPageToken", "startPageToken": str(len(self.changes))}

    async def _changes(self, call: Call) -> Any:
        start, size = int(call.query["pageToken"]), min(int(call.query["pageSize"]), self.page)
        if start < self.forgotten:
            return self.refuse(404, "", "Page token not found")
        last = {key: at for at, key in enumerate(self.changes)}
        latest = [key for at, key in enumerate(self.changes) if at >= start and last[key] == at]
        page = latest[:size]
        more = len(latest) > size
        following = last[page[-1]] + 1 if more else len(self.changes)
        shown = [
            {"file": {**visible(self.files[key]), "trashed": bool(self.files[key].get("trashed"))}} for key in page
        ]
        return {"changes": shown, "nextPageToken" if more else "newStartPageToken": str(following)}

    async def _list(self, call: Call) -> Any:
        marked, alive = MARKED.fullmatch(call.query["q"]), [f for f in self.files.values() if not f.get("trashed")]
        if marked:
            found = [f for f in alive if f.get("appProperties", {}).get(marked[1]) == marked[2]]
        elif call.query["q"] == f"mimeType = '{FOLDER}' and trashed = false":
            found = [f for f in alive if f["mimeType"] == FOLDER]
        else:
            return self.refuse(400, "", "Invalid Value")
        return {"files": [visible(f) for f in found[: int(call.query["pageSize"])]]}

    async def create(self, call: Call) -> Any:
        """Carry out a call that makes a file with nothing in it."""
        return self._make(call.json)

    async def upload(self, call: Call) -> Any:
        """Carry out a call that uploads."""
        head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
        parts = list(message_from_bytes(head + call.body, policy=policy.HTTP).iter_parts())  # type: ignore[attr-defined]
        if call.query.get("uploadType") != "multipart" or len(parts) != 2:
            return self.refuse(400, "", "Malformed multipart body.")
        metadata, content = (part.get_payload(decode=True) for part in parts)
        made = self._make(json.loads(metadata))
        if isinstance(made, dict):
            self.texts[made["id"]] = content.decode()
        return made

    def _make(self, given: dict[str, Any]) -> Any:
        (folder,) = given.get("parents", [ROOT])
        if folder != ROOT and folder not in self.files:
            return self.refuse(404, "", f"File not found: {folder}.")
        properties = given.get("appProperties", {})
        return visible(self.files[self.put(given["name"], given["mimeType"], folder=folder, appProperties=properties)])

    async def share(self, call: Call) -> Any:
        """Carry out a call that shares."""
        file, given = call.parameters["id"], call.json
        if file not in self.files:
            return self.refuse(404, "", f"File not found: {file}.")
        made = {"id": f"p{next(self._numbers)}", **given}
        self.permissions.setdefault(file, []).append(made)
        if call.query.get("sendNotificationEmail") == "true":
            self.mails.append({"to": given["emailAddress"], "message": call.query["emailMessage"]})
        return made

    async def _permissions(self, call: Call) -> Any:
        return {"permissions": self.permissions.get(call.parameters["id"], [])}


def visible(file: dict[str, Any]) -> dict[str, Any]:
    """The fields that are asked for."""
    return {name: file[name] for name in SHOWN if name in file}


def stamp() -> str:
    """Now, as Drive writes it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def make() -> StandIn:
    """With a folder alone."""
    return GoogleDrive()
