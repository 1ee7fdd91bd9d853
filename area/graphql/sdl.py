"""The schema as text, for the committed file that frontends read."""

from area.graphql.schema import schema


def sdl() -> str:
    """The whole schema in GraphQL's schema language, ending in a newline."""
    return schema.as_str().rstrip() + "\n"
