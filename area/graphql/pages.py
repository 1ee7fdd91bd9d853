"""Relay connections by keyset: a cursor names the row after which to go on, so that inserts never shift a page."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, NoReturn, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from graphql import GraphQLError
from strawberry import field

DEFAULT_PAGE = 20
LARGEST_PAGE = 100

RowT = TypeVar("RowT")
NodeT = TypeVar("NodeT")
KeyT = TypeVar("KeyT")

First: TypeAlias = Annotated[
    int | None, strawberry.argument(description="How many to return from the start, 1 to 100; 20 when left out.")
]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Return what follows this cursor.")]
Last: TypeAlias = Annotated[
    int | None, strawberry.argument(description="How many to return from the end, 1 to 100; not together with `first`.")
]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="Return what precedes this cursor.")]


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool = field(description="Whether more follow this page.")
    has_previous_page: bool = field(description="Whether some precede this page.")
    start_cursor: str | None = field(description="The first edge's cursor; null when the page is empty.")
    end_cursor: str | None = field(description="The last edge's cursor; null when the page is empty.")


@strawberry.type(description="One item of a page, and its cursor.")
class Edge(Generic[NodeT]):
    """One item of a page, and its cursor."""

    cursor: str = field(description="Pass it as `after` or `before` to go on from here.")
    node: NodeT = field(description="The item.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[NodeT]):
    """One page of a list."""

    edges: list[Edge[NodeT]] = field(description="The items with their cursors.")
    nodes: list[NodeT] = field(description="The items alone.")
    page_info: PageInfo = field(description="Where this page lies in its list.")


@dataclass(frozen=True)
class Window(Generic[KeyT]):
    """Which rows a client asked for, by the list's key."""

    limit: int
    after: KeyT | None
    before: KeyT | None
    is_backward: bool


@dataclass(frozen=True)
class Page(Generic[RowT]):
    """The rows of a window, in the list's order."""

    rows: Sequence[RowT]
    has_next: bool
    has_previous: bool


def window(
    parse: Callable[[str], KeyT], first: int | None, after: str | None, last: int | None, before: str | None
) -> Window[KeyT]:
    """Check the four arguments of a connection. Raises: GraphQLError BAD_USER_INPUT."""
    if first is not None and last is not None:
        bad_input("Pass `first` or `last`, not both.")
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 1 <= size <= LARGEST_PAGE:
            bad_input(f"`{name}` must be 1 to {LARGEST_PAGE}; it is {size}.")
    size = first or last or DEFAULT_PAGE
    return Window(size, _key(parse, "after", after), _key(parse, "before", before), last is not None)


def cut(rows: Sequence[RowT], asked: Window[KeyT]) -> Page[RowT]:
    """The page in ``rows``, which were read in the window's direction with one row more than its limit."""
    more = len(rows) > asked.limit
    rows = rows[: asked.limit]
    if asked.is_backward:
        return Page(rows[::-1], asked.before is not None, more)
    return Page(rows, more, asked.after is not None)


def connection(page: Page[RowT], make: Callable[[RowT], NodeT], key: Callable[[RowT], object]) -> Connection[NodeT]:
    """A page as GraphQL shows it."""
    edges = [Edge(cursor=to_cursor(key(row)), node=make(row)) for row in page.rows]
    return Connection(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def to_cursor(key: object) -> str:
    """The opaque cursor of a row's key."""
    return urlsafe_b64encode(f"c:{key}".encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> str:
    """The key in a cursor. Raises: ValueError."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"{cursor[:40]!r} is not a cursor") from error
    if not text.startswith("c:"):
        raise ValueError(f"{cursor[:40]!r} is not a cursor")
    return text[2:]


def by_id(cursor: str) -> UUID:
    """The row id in a cursor. Raises: ValueError."""
    return UUID(from_cursor(cursor))


def by_number(cursor: str) -> int:
    """The number in a cursor, as a Postgres integer. Raises: ValueError."""
    number = int(from_cursor(cursor))
    if not 0 <= number < 2**31:
        raise ValueError(f"{cursor[:40]!r} is not a cursor")
    return number


def bad_input(message: str) -> NoReturn:
    """Raise the top-level error of a request that cannot mean anything."""
    raise GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})


def rekeyed(asked: Window[str], parse: Callable[[str], KeyT]) -> Window[KeyT]:
    """A window whose keys were left as text, read at last. Raises: GraphQLError BAD_USER_INPUT."""
    return Window(
        asked.limit,
        _key(parse, "after", asked.after),
        _key(parse, "before", asked.before),
        asked.is_backward,
    )


def _key(parse: Callable[[str], KeyT], name: str, cursor: str | None) -> KeyT | None:
    if cursor is None:
        return None
    try:
        return parse(cursor)
    except (ValueError, TypeError):
        bad_input(f"`{name}` is not a cursor of this list: {cursor[:40]!r}.")
