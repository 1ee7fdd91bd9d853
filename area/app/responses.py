"""Responses in JSON, by orjson."""

from typing import Any

import orjson
from starlette.responses import JSONResponse


class JSON(JSONResponse):
    """A JSON response."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return orjson.dumps(content)
