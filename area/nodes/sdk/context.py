"""What the platform gives a node for one call."""

import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import httpx

from area.nodes.sdk.auth import Account, Grant


class Context(Protocol):
    """One call's surroundings. A node never sees the database, the queue or the web framework."""

    @property
    def http(self) -> httpx.AsyncClient:
        """Client with base URL, timeouts, size limit and egress guard; authorised by the account where there is one."""

    @property
    def app_http(self) -> httpx.AsyncClient:
        """The same, authorised as the app itself: needs `Service.app_auth`."""

    @property
    def client_http(self) -> httpx.AsyncClient:
        """The same, not authorised at all: for token endpoints and public addresses."""

    @property
    def account(self) -> Account:
        """The connected account that this call acts for. Raises: Rejected when the node was given none."""

    @property
    def has_account(self) -> bool:
        """Whether there is an account; of interest where it is optional."""

    @property
    def credentials(self) -> Mapping[str, Any]:
        """What the user typed in, for an account connected by `Key`; secrets in plain. Empty for other accounts."""

    @property
    def grant(self) -> Grant:
        """The tokens that were just granted; only in `Service.identify` after an OAuth consent. Raises: Rejected elsewhere."""

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
    def tried_since(self) -> datetime | None:
        """When the first attempt of this step began, in UTC; None while this is it.

        An earlier attempt may have been carried out: look first, where a provider forgets an idempotency key within minutes.
        """

    @property
    def answer(self) -> Any:
        """What a `Control` reaction waits for: a decision, the end of the AREA it called, the items' results. None: not yet."""

    @property
    def answer_url(self) -> str:
        """The link at which a person can answer; for `Control.APPROVAL` only."""

    async def start_area(self, area_id: str, payload: Any, *, wait: bool) -> str:
        """Start another AREA of the same owner, once for this step; gives the id of its run. For `Control.CALL` only.

        With ``wait`` a parked step is called again when that run has ended. Raises: Rejected.
        """

    @property
    def settings(self) -> Mapping[str, str]:
        """The service's own settings: ``AREA_EMAIL_SMTP_URL`` is ``smtp_url`` of ``email``."""

    def log(self, message: str, level: str = "info", **attributes: Any) -> None:
        """Write a line to the run's log."""

    def now(self) -> datetime:
        """The present moment, in UTC."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket, for protocols other than HTTP. Raises: EgressRefused unless ``host`` may be reached; OSError."""
