"""A stand-in for Gmail: one mailbox, its search, labels, drafts and history. https://developers.google.com/workspace/gmail/api/reference/rest"""

import binascii
import email
import itertools
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email import policy
from email.message import EmailMessage, MIMEPart
from functools import partial
from typing import Any

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.google import SCOPE, Google

ME = "/gmail/v1/users/me"
READ, SEND, COMPOSE, MODIFY = (f"{SCOPE}gmail.{name}" for name in ("readonly", "send", "compose", "modify"))
SYSTEM = ("INBOX", "UNREAD", "STARRED", "SENT", "DRAFT")
URLSAFE = re.compile(r"[A-Za-z0-9_-]+={0,2}")


class Gmail(Google):
    """The mailbox is that of the first user."""

    def __init__(self) -> None:
        super().__init__("gmail")
        self.mails: dict[str, dict[str, Any]] = {}
        self.drafts: dict[str, str] = {}
        """Ids of drafts, and of the mails they are."""
        self.labels = {label: label for label in SYSTEM} | {"Label_7": "Rechnungen 💶"}
        self.history: list[dict[str, Any]] = []
        self.forgotten = 0
        """Records of the history up to this id are gone."""
        self.keeps_message_ids = True
        self.page = 500
        """Most that a page holds, whatever is asked for."""
        self._numbers = itertools.count(1001)
        read, write = (READ, MODIFY), (COMPOSE, MODIFY)
        self.route("GET", f"{ME}/profile", self._profile, scopes=(*read, COMPOSE))
        self.route("GET", f"{ME}/labels", self._labels, scopes=read)
        self.route("GET", f"{ME}/messages", self._list, scopes=read)
        self.route("POST", f"{ME}/messages/send", self.send, scopes=(SEND, *write))
        self.route("GET", f"{ME}/messages/{{id}}", self._get, scopes=read)
        self.route("POST", f"{ME}/messages/{{id}}/modify", self._modify, scopes=(MODIFY,))
        self.route("GET", f"{ME}/history", self._history, scopes=read)
        self.route("POST", f"{ME}/drafts", self._draft, scopes=write)
        self.route("GET", f"{ME}/drafts", self._list_drafts, scopes=(READ, *write))
        self.route("GET", f"{ME}/drafts/{{id}}", self._get_draft, scopes=(READ, *write))

    # What happens in the mailbox

    def receive(
        self,
        subject: str,
        text: str = "Hello.",
        *,
        sender: str = "Grace Hopper <grace@example.com>",
        files: Mapping[str, bytes] | None = None,
        labels: Sequence[str] = ("INBOX", "UNREAD"),
        age: float = 0,
        **headers: str,
    ) -> str:
        """A mail comes in, ``age`` seconds ago; gives its id."""
        mail = EmailMessage(policy=policy.SMTP)
        mail["From"], mail["To"], mail["Subject"] = sender, "Ada Lovelace <ada@example.com>", subject
        mail["Message-ID"] = f"<{next(self._numbers)}@example.com>"
        for name, value in headers.items():
            mail[name.replace("_", "-")] = value
        mail.set_content(text)
        for name, content in (files or {}).items():
            mail.add_attachment(content, maintype="application", subtype="pdf", filename=name)
        return self._keep(mail, labels, age=age)["id"]

    def label(self, mail: str, *labels: str) -> None:
        """Labels are put on a mail."""
        self._change(mail, labels, ())

    def sent(self) -> list[EmailMessage]:
        """The mails that were sent, as they would be read."""
        return [parsed(one["raw"]) for one in self.mails.values() if "SENT" in one["labelIds"]]

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Mails that come in."""

        async def come(**more: Any) -> None:
            self.receive("Rechnung 7", "Bitte zahlen.", **more)

        return {"A mail comes in": come, "… with a file": partial(come, files={"rechnung.pdf": b"%PDF-1.7"})}

    # How it works

    def _keep(self, mail: EmailMessage, labels: Sequence[str], thread: str = "", age: float = 0) -> dict[str, Any]:
        number = next(self._numbers)
        key, raw = f"{0x18C2F4A9D1B00000 + number:x}", mail.as_bytes()
        first = mail.get_body(("plain",))
        kept = {
            "id": key,
            "threadId": thread or key,
            "labelIds": list(labels),
            "snippet": " ".join(first.get_content().split())[:200] if first else "",
            "historyId": str(number),
            "internalDate": str(int((time.time() - age) * 1000)),
            "sizeEstimate": len(raw),
            "payload": part_of(mail, ""),
            "raw": raw,
        }
        self.mails[key] = kept
        self._record(number, messagesAdded=[{"message": thin(kept)}])
        return kept

    def _change(self, mail: str, add: Sequence[str], remove: Sequence[str]) -> dict[str, Any]:
        kept = self.mails[mail]
        new = [label for label in add if label not in kept["labelIds"]]
        kept["labelIds"] = [label for label in [*kept["labelIds"], *new] if label not in remove]
        if new:
            self._record(next(self._numbers), labelsAdded=[{"message": thin(kept), "labelIds": new}])
        return kept

    def _record(self, number: int, **what: list[dict[str, Any]]) -> None:
        mails = [{name: one["message"][name] for name in ("id", "threadId")} for ones in what.values() for one in ones]
        self.history.append({"id": str(number), "messages": mails, **what})

    def _of(self, call: Call, *labels: str) -> Any:
        """The mail that a call sends, kept; or why not."""
        asked = call.json.get("message", call.json)
        raw = asked.get("raw", "")
        try:
            assert URLSAFE.fullmatch(raw)
            mail = parsed(urlsafe_b64decode(raw))
        except (AssertionError, binascii.Error):
            return self.refuse(400, "", "Invalid value for ByteString")
        if not mail["To"]:
            return self.refuse(400, "", "Recipient address required")
        thread = asked.get("threadId", "")
        if thread and not any(one["threadId"] == thread for one in self.mails.values()):
            return self.refuse(404, "", "Requested entity was not found.")
        if not self.keeps_message_ids:
            del mail["Message-ID"]
            mail["Message-ID"] = f"<CA{next(self._numbers)}@mail.gmail.com>"
        mail["From"] = f"{call.user.name} <{call.user.email}>"
        return self._keep(mail, labels, thread)

    # Calls

    async def _profile(self, call: Call) -> Any:
        total = len(self.mails)
        told = {"emailAddress": call.user.email, "messagesTotal": total, "threadsTotal": total}
        return {**told, "historyId": self.history[-1]["id"] if self.history else "1000"}

    async def _labels(self, call: Call) -> Any:
        kind = {True: "system", False: "user"}
        return {"labels": [{"id": k, "name": name, "type": kind[k in SYSTEM]} for k, name in self.labels.items()]}

    async def _list(self, call: Call) -> Any:
        found = [one for one in self.mails.values() if matches(one, call.query.get("q", ""))]
        found.sort(key=lambda one: int(one["internalDate"]), reverse=True)
        page, more = self._paged(call, found)
        listed = {"messages": [{"id": one["id"], "threadId": one["threadId"]} for one in page]} if page else {}
        return {**listed, **more, "resultSizeEstimate": len(found)}

    async def _get(self, call: Call) -> Any:
        found = self.mails.get(call.parameters["id"])
        return full(found) if found else self.refuse(404, "", "Requested entity was not found.")

    async def send(self, call: Call) -> Any:
        """Carry out a call that sends a mail."""
        kept = self._of(call, "SENT")
        return thin(kept) if isinstance(kept, dict) else kept

    async def _modify(self, call: Call) -> Any:
        if call.parameters["id"] not in self.mails:
            return self.refuse(404, "", "Requested entity was not found.")
        add, remove = call.json.get("addLabelIds", []), call.json.get("removeLabelIds", [])
        unknown = [label for label in [*add, *remove] if label not in self.labels]
        if unknown or not (add or remove):
            words = f"Invalid label: {unknown[0]}" if unknown else "No label add or removes specified"
            return self.refuse(400, "", words)
        return thin(self._change(call.parameters["id"], add, remove))

    async def _history(self, call: Call) -> Any:
        asked, start = call.request.query_params, int(call.query["startHistoryId"])
        if start < self.forgotten:
            return self.refuse(404, "", "Requested entity was not found.")
        keys = {
            f"{kind.replace('label', 'labels').replace('message', 'messages')}"
            for kind in asked.getlist("historyTypes")
        }
        found = [one for one in self.history if int(one["id"]) > start and keys & set(one)]
        page, more = self._paged(call, found)
        return {**({"history": page} if page else {}), **more, "historyId": self.history[-1]["id"]}

    async def _draft(self, call: Call) -> Any:
        kept = self._of(call, "DRAFT")
        if not isinstance(kept, dict):
            return kept
        self.drafts[f"r{len(self.drafts) + 1}"] = kept["id"]
        return {"id": f"r{len(self.drafts)}", "message": thin(kept)}

    async def _list_drafts(self, call: Call) -> Any:
        found = [{"id": key, "message": thin(self.mails[mail])} for key, mail in reversed(self.drafts.items())]
        return {"drafts": found, "resultSizeEstimate": len(found)} if found else {"resultSizeEstimate": 0}

    async def _get_draft(self, call: Call) -> Any:
        mail = self.drafts.get(call.parameters["id"])
        found = {"id": call.parameters["id"], "message": full(self.mails[mail])} if mail else None
        return found or self.refuse(404, "", "Requested entity was not found.")

    def _paged(self, call: Call, found: list[Any]) -> tuple[list[Any], dict[str, str]]:
        size, start = min(int(call.query.get("maxResults", 100)), self.page), int(call.query.get("pageToken", 0))
        more = {"nextPageToken": str(start + size)} if len(found) > start + size else {}
        return found[start : start + size], more


def parsed(raw: bytes) -> EmailMessage:
    """A mail from its bytes."""
    return email.message_from_bytes(raw, _class=EmailMessage, policy=policy.default)  # type: ignore[arg-type]


def part_of(part: MIMEPart, number: str) -> dict[str, Any]:
    """A part of a mail as Gmail shows it; what has a name is an attachment, whose data is not shown."""
    name = part.get_filename() or ""
    headers = [{"name": key, "value": str(value)} for key, value in part.items()]
    shown: dict[str, Any] = {
        "partId": number,
        "mimeType": part.get_content_type(),
        "filename": name,
        "headers": headers,
    }
    if part.is_multipart():
        below = [one for one in part.iter_parts() if isinstance(one, MIMEPart)]
        prefix = f"{number}." if number else ""
        parts = [part_of(one, f"{prefix}{at}") for at, one in enumerate(below)]
        return {**shown, "body": {"size": 0}, "parts": parts}
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    data = {"attachmentId": f"ANGj{number}"} if name else {"data": urlsafe_b64encode(raw).decode()}
    return {**shown, "body": {"size": len(raw), **data}}


def full(kept: dict[str, Any]) -> dict[str, Any]:
    """A mail as ``format=full`` shows it."""
    return {name: value for name, value in kept.items() if name != "raw"}


def thin(kept: dict[str, Any]) -> dict[str, Any]:
    """A mail as it is named in other answers."""
    return {name: kept[name] for name in ("id", "threadId", "labelIds")}


def matches(kept: dict[str, Any], query: str) -> bool:
    """Gmail's search, as much of it as is asked here; ``after:`` in seconds."""
    mail, labels = parsed(kept["raw"]), kept["labelIds"]
    for word in query.replace("(", " ").replace(")", " ").split():
        kind, _, wanted = word.partition(":")
        found = {
            "in": wanted.upper() in labels,
            "from": wanted.lower() in str(mail["From"]).lower(),
            "subject": wanted.lower() in str(mail["Subject"]).lower(),
            "has": any(True for _ in mail.iter_attachments()),
            "after": wanted.isdigit() and int(kept["internalDate"]) >= int(wanted) * 1000,
        }[kind]
        if not found:
            return False
    return True


def make() -> StandIn:
    """With an empty mailbox."""
    return Gmail()
