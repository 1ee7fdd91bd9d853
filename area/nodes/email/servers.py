"""Which mail server a call speaks to: the account's own, or the one that the operator has set."""

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass, field
from email.utils import parseaddr
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from area.nodes import sdk

ADDRESS = re.compile(r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$")
SMTP_EXAMPLE = "smtp://user:password@smtp.example.com:587"
IMAP_EXAMPLE = "imaps://user:password@imap.example.com:993"
PORTS = {"smtp": 587, "smtps": 465, "imap": 143, "imaps": 993}
CONNECT_SECONDS = 10.0


class Security(StrEnum):
    """How a connection is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class Account(sdk.Inputs):
    """A mailbox of one's own. Leave a server out to connect the other alone."""

    sender: str = Field(
        title="Address",
        description="What mails are sent from.",
        max_length=320,
        examples=["Ada <ada@example.com>"],
    )
    username: str = Field(
        title="User name",
        description="Often the address itself.",
        min_length=1,
        max_length=320,
        examples=["ada@example.com"],
    )
    password: Annotated[str, sdk.Secret] = Field(
        title="Password",
        description="An app password where the provider has them; the usual one may be refused.",
        min_length=1,
        max_length=1000,
        examples=["abcd efgh ijkl mnop"],
    )
    smtp_host: str | None = Field(
        None, title="SMTP server", description="For sending.", max_length=253, examples=["smtp.example.com"]
    )
    smtp_port: int = Field(587, title="SMTP port", description="587 or 465 as a rule.", ge=1, le=65535, examples=[587])
    smtp_security: Security = Field(
        Security.STARTTLS,
        title="SMTP security",
        description="TLS at once on 465, STARTTLS on 587.",
        examples=["starttls"],
    )
    imap_host: str | None = Field(
        None, title="IMAP server", description="For receiving.", max_length=253, examples=["imap.example.com"]
    )
    imap_port: int = Field(993, title="IMAP port", description="993 as a rule.", ge=1, le=65535, examples=[993])
    imap_security: Security = Field(
        Security.TLS, title="IMAP security", description="TLS at once on 993.", examples=["tls"]
    )

    @field_validator("sender")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value) or not ADDRESS.match(parseaddr(value)[1]):
            raise ValueError("must be one mail address, as ada@example.com or Ada <ada@example.com>")
        return value

    @model_validator(mode="after")
    def _some_server(self) -> "Account":
        if not (self.smtp_host or self.imap_host):
            raise ValueError("give an SMTP server, an IMAP server, or both")
        return self


@dataclass(frozen=True, slots=True)
class Server:
    """One mail server, and how to sign in there."""

    host: str
    port: int
    security: Security
    username: str
    password: str = field(repr=False)
    sender: str
    guarded: bool
    """Whether a user named the host, so that it must be a public one."""

    async def connect(self, ctx: sdk.Context) -> socket.socket:
        """A connected socket. Raises: Unavailable; EgressRefused for a private address that a user named."""
        try:
            if self.guarded:
                return await ctx.connect(self.host, self.port)
            return await asyncio.to_thread(socket.create_connection, (self.host, self.port), CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise sdk.Unavailable(f"The mail server {self.host} cannot be reached: {said}") from error

    def refused(self, said: str) -> sdk.NodeError:
        """What a sign-in that failed means: an account to be connected again, or a setting to be mended."""
        message = f"The mail server {self.host} would not sign in {self.username}: {said}"
        if self.guarded:
            return sdk.Reconnect(f"{message}. Connect the account again, with its present password.")
        return sdk.Rejected(message, code="SIGN_IN_REFUSED")


def server_of(ctx: sdk.Context, kind: Literal["smtp", "imap"]) -> Server:
    """The server for this call. Raises: Rejected when there is none."""
    if ctx.credentials:  # also those that are just being tried, and belong to no account yet
        given = Account.model_validate(dict(ctx.credentials))
        host = given.smtp_host if kind == "smtp" else given.imap_host
        if host is None:
            raise sdk.Rejected(
                f"The account {given.sender} has no {kind.upper()} server. Connect it again with one.",
                code="NOT_CONFIGURED",
            )
        port, security = (
            (given.smtp_port, given.smtp_security) if kind == "smtp" else (given.imap_port, given.imap_security)
        )
        return Server(host, port, security, given.username, given.password, given.sender, guarded=True)
    return _operators(ctx, kind)


def _operators(ctx: sdk.Context, kind: Literal["smtp", "imap"]) -> Server:
    example = SMTP_EXAMPLE if kind == "smtp" else IMAP_EXAMPLE
    url = ctx.settings.get(f"{kind}_url")
    if not url:
        raise sdk.Rejected(
            f"No mail account was chosen, and AREA_EMAIL_{kind.upper()}_URL is not set. Connect an account, or have the operator "
            f"set it, as {example}.",
            code="NOT_CONFIGURED",
        )
    parts = urlsplit(url)
    user = unquote(parts.username or "")
    # A plain smtp:// is upgraded by STARTTLS where the server offers it.
    security = Security.TLS if parts.scheme.endswith("s") else Security.NONE
    return Server(
        parts.hostname or "",
        parts.port or PORTS.get(parts.scheme, 0),
        security,
        user,
        unquote(parts.password or ""),
        ctx.settings.get("from") or user,
        guarded=False,
    )


def trust() -> ssl.SSLContext:
    """The system's certificates, names checked: imaplib's own context would take any."""
    return ssl.create_default_context()
