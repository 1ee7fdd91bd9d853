"""What the platform gives a node for one call."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import httpx


class Context(Protocol):
    """One call's surroundings. A node never sees the database, the queue or the web framework."""

    @property
    def http(self) -> httpx.AsyncClient:
        """Client with base URL, timeouts, size limit and egress guard; authorised when the service has ``auth``."""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of one step of one run."""

    @property
    def cursor(self) -> Any:
        """The cursor of the last poll's ``Page``; None on the first poll."""

    @property
    def resumed(self) -> bool:
        """True when this call follows the ``Park`` that an earlier one raised."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The service's own settings: ``AREA_EMAIL_SMTP_URL`` is ``smtp_url`` of ``email``."""

    def log(self, message: str, level: str = "info", **attributes: Any) -> None:
        """Write a line to the run's log."""

    def now(self) -> datetime:
        """The present moment, in UTC."""

    async def egress_check(self, host: str, port: int) -> None:
        """Raise EgressRefused unless a socket to ``host`` may be opened; for protocols other than HTTP."""
