"""Trusted documents: what frontends have registered by hash, so that they need not send it, or may send nothing else.

An identifier is the SHA-256 of a document in hex, or whatever a build tool made of it.
Specification: https://github.com/graphql/graphql-over-http, appendix "Persisted Documents".
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from area.auth.remembered import Remembered
from area.core.errors import CommandError
from area.graphql.documents import Documents, Prepared, Refused
from area.graphql.limits import refused

BELIEVED = 5.0
"""Seconds after which a process asks the database again: a document that was registered or removed is known by then."""
_SEEN = 1000
_LONGEST_SEEN = 20_000
_IDENTIFIER = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
ADD = """
INSERT INTO trusted_documents (hash, body, name) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (hash) DO UPDATE SET body = excluded.body, name = excluded.name
"""


class ManifestError(CommandError):
    """A manifest of which nothing was registered; the message says what is wrong with which document."""


@dataclass(frozen=True)
class Entry:
    """A document to register."""

    hash: str
    body: str
    name: str


class TrustedDocuments:
    """Finds documents by their identifiers; with ``only``, no document is allowed that was not registered."""

    def __init__(
        self, pool: asyncpg.Pool, documents: Documents, *, only: bool = False, built_in: Iterable[str] = ()
    ) -> None:
        self._pool = pool
        self._documents = documents
        self._only = only
        self._built_in = {digest(text): text for text in built_in}
        self._registered: Remembered[str, str | None] = Remembered(self._find, BELIEVED)
        self._seen: OrderedDict[str, str] = OrderedDict()

    async def prepare(self, query: str | None, document_id: str | None) -> Prepared:
        """The document that a request means. Raises: Refused."""
        if query is None:
            found = await self._named(document_id or "")
            if found is None:
                message = "No document is registered by this identifier; send the document itself as `query`."
                raise Refused([refused("PERSISTED_QUERY_NOT_FOUND", message)])
            return self._documents.prepare(found)
        if document_id is not None and _SHA256.fullmatch(document_id) and digest(query) != document_id:
            raise Refused([refused("BAD_USER_INPUT", "The hash is not the SHA-256 of `query`.")])
        if self._only:
            if await self._named(digest(query)) is None:
                message = (
                    "Only registered documents are allowed here, and this is none; `area documents register` adds it."
                )
                raise Refused([refused("PERSISTED_QUERY_NOT_FOUND", message)])
            return self._documents.prepare(query)
        prepared = self._documents.prepare(query)
        if document_id is not None and digest(query) == document_id and len(query) <= _LONGEST_SEEN:
            self._remember(document_id, query)
        return prepared

    async def _named(self, document_id: str) -> str | None:
        known = self._built_in.get(document_id) or self._seen.get(document_id)
        return known if known is not None else await self._registered.get(document_id)

    def _remember(self, document_id: str, query: str) -> None:
        # Automatic persisted queries: what a client has sent with its hash, it may name from then on.
        self._seen[document_id] = query
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)

    async def _find(self, document_id: str) -> str | None:
        body: str | None = await self._pool.fetchval("SELECT body FROM trusted_documents WHERE hash = $1", document_id)
        return body


def digest(text: str) -> str:
    """A document's SHA-256, in lower-case hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def read_manifest(text: str, documents: Documents) -> list[Entry]:
    """The documents of a manifest, each fit to run.

    A manifest is a JSON object of identifiers and documents, a JSON list of documents, or an Apollo manifest
    (``{"operations": [{"id", "name", "body"}]}``). Raises: ManifestError with every problem.
    """
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ManifestError(f"The manifest is not JSON: {error}.") from None
    entries, problems = [], []
    for number, (identifier, body) in enumerate(_pairs(given), start=1):
        if not isinstance(body, str):
            problems.append(f"Document {number} is not text.")
            continue
        entry = Entry(str(identifier or digest(body)).removeprefix("sha256:"), body, "")
        problem = _problem(entry)
        try:
            names = documents.prepare(body).operations
            entries.append(Entry(entry.hash, body, ", ".join(str(name) for name in names if name)))
        except Refused as error:
            problem = problem or error.errors[0].message
        if problem:
            problems.append(f"Document {number} ({entry.hash[:16]}…): {problem}")
    if problems or not entries:
        raise ManifestError("\n".join(problems) or "The manifest has no documents.")
    return entries


async def register(pool: asyncpg.Pool, entries: Sequence[Entry]) -> None:
    """Let these documents be used; the same again changes nothing."""
    rows = {entry.hash: entry for entry in entries}.values()
    await pool.execute(ADD, [one.hash for one in rows], [one.body for one in rows], [one.name for one in rows])


async def listed(pool: asyncpg.Pool) -> list[tuple[str, str, datetime]]:
    """What is registered: hash, operation names, since when."""
    rows = await pool.fetch("SELECT hash, name, created_at FROM trusted_documents ORDER BY name, hash")
    return [(row["hash"], row["name"], row["created_at"]) for row in rows]


async def remove(pool: asyncpg.Pool, hashes: Sequence[str]) -> int:
    """Let these documents be used no more; how many there were."""
    gone = await pool.fetch("DELETE FROM trusted_documents WHERE hash = ANY($1) RETURNING hash", list(hashes))
    return len(gone)


def _pairs(given: Any) -> list[tuple[Any, Any]]:
    if isinstance(given, dict) and isinstance(given.get("operations"), list):
        operations = given["operations"]
        return [(one.get("id"), one.get("body")) if isinstance(one, dict) else (None, None) for one in operations]
    if isinstance(given, dict):
        return list(given.items())
    if isinstance(given, list):
        return [(None, body) for body in given]
    raise ManifestError("The manifest must be an object of hashes and documents, or a list of documents.")


def _problem(entry: Entry) -> str | None:
    if not _IDENTIFIER.fullmatch(entry.hash):
        return "its identifier has other characters than letters, digits and ._~-, or more than 200."
    if _SHA256.fullmatch(entry.hash) and digest(entry.body) != entry.hash:
        return "its identifier is not the SHA-256 of its text."
    return None
