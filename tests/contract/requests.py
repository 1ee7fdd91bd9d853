"""Whether a request keeps to its provider's strict OpenAPI file."""

import json
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.contract.documents import ContractBroken, Document, Operation, openapi, read, strict
from tests.contract.schemas import errors, explain, modern

WHOLE = {"discord": "discord/openapi.json"}


class _Sent:
    """A httpx.Request as openapi-core wants it, at the specification's own server."""

    def __init__(self, request: httpx.Request, server: str, operation: Operation) -> None:
        self.host_url = server
        self.path = path_of(request)
        if operation.path.endswith("{path}"):
            fixed = operation.path.count("/")
            *start, rest = self.path.split("/", fixed)
            self.path = "/".join([*start, rest.replace("/", "%2F")])
        self.method = request.method.lower()
        self.body = request.content or None
        self.content_type = request.headers.get("content-type", "").lower()
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(request.url.params.multi_items()),
            header=Headers(request.headers.items()),
            cookie=ImmutableMultiDict(),
        )


def path_of(request: httpx.Request) -> str:
    """The path as it goes over the wire."""
    return request.url.raw_path.decode().partition("?")[0]


@cache
def _openapi(name: str) -> tuple[OpenAPI, str]:
    document = read(f"derived/{name}.strict.openapi.json")
    server = urlsplit(document["servers"][0]["url"])
    # The documents were checked when they were made; to check them again takes seconds each.
    return OpenAPI.from_dict(document, config=Config(spec_validator_cls=None)), f"{server.scheme}://{server.netloc}"


def check_request(name: str, request: httpx.Request) -> None:
    """Raise ContractBroken unless the specification allows the request, whatever host it goes to.

    That is ``derived/<name>.strict.openapi.json``, or for calls that it leaves out the provider's own in ``WHOLE``.
    """
    about = f"{name}: {request.method} {request.url.raw_path.decode()}"
    try:
        operation = strict(name).operation(request.method, path_of(request))
    except ContractBroken:
        if name not in WHOLE:
            raise
        _check_whole(about, whole(name), request)
        return
    _check_query(about, operation, request)
    spec, server = _openapi(name)
    with warnings.catch_warnings(action="ignore"):  # it says of schemes it cannot check that it cannot
        try:
            spec.validate_request(_Sent(request, server, operation))
        except OpenAPIError as error:
            raise ContractBroken(f"{about}: {'; '.join(dict.fromkeys(_reasons(error)))}") from None


def _check_query(about: str, operation: Operation, request: httpx.Request) -> None:
    given = {
        name.removesuffix("[]") for name in request.url.params
    }  # Rails spells a list so, and its description does not
    unknown = sorted(given - operation.query)
    if unknown:
        raise ContractBroken(f"{about}: the specification has no query parameter {', '.join(unknown)}")


@cache
def whole(name: str) -> Document:
    """The provider's own specification of everything."""
    return openapi(name, read(WHOLE[name]))


@cache
def _closed(document: Document) -> Any:
    return modern(document.root, document.root, closed=True)


def _check_whole(about: str, document: Document, request: httpx.Request) -> None:
    """The address, the query's names, and the body, in which nothing may be that is not described."""
    operation = document.operation(request.method, path_of(request))
    _check_query(about, operation, request)
    base = urlsplit(document.root["servers"][0]["url"]).path
    called = document.root["paths"][operation.path.removeprefix(base)][operation.method.lower()]
    given = called.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if (given is None) != (not request.content):
        raise ContractBroken(f"{about}: the specification has {'no' if given is None else 'a'} JSON body")
    if given is not None:
        schema = modern(given, document.root, closed=True)
        found = list(explain(errors(_closed(document), schema, json.loads(request.content))))
        if found:
            raise ContractBroken(f"{about}: {'; '.join(found[:8])}")


def _reasons(error: BaseException) -> Iterator[str]:
    """What is wrong, from the outside in, with the place in the body where there is one."""
    within = getattr(error, "schema_errors", ())
    if within:
        yield from explain(within)
    elif error.__cause__ is None or not hasattr(error.__cause__, "schema_errors"):
        yield str(error)[:500]
    if error.__cause__ is not None:
        yield from _reasons(error.__cause__)
