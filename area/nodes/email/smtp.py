"""Sending by SMTP (RFC 5321) with aiosmtplib."""

import hashlib
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr

import aiosmtplib
from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes.email.servers import ADDRESS, Security, Server, trust

MAX_RECIPIENTS = 100
SEVERAL = "ada@example.com, grace@example.com"
SECONDS = 20.0


class Letter(sdk.Inputs):
    """What to send."""

    to: str = Field(
        title="To",
        description="Addresses, with commas between.",
        max_length=5000,
        examples=["ada@example.com"],
    )
    subject: str = Field(
        title="Subject", description="One line.", max_length=900, examples=["Order {{ trigger.body.order }}"]
    )
    text: str = Field(
        "",
        title="Text",
        description="The message as plain text.",
        examples=["It is paid."],
        json_schema_extra={"widget": "textarea"},
    )
    html: str | None = Field(
        None,
        title="HTML",
        description="The same message as HTML, for readers that show it.",
        examples=["<p>It is paid.</p>"],
        json_schema_extra={"widget": "code"},
    )

    cc: str | None = Field(
        None, title="Cc", description="More addresses, seen by all.", max_length=5000, examples=["bob@example.com"]
    )
    bcc: str | None = Field(
        None, title="Bcc", description="More addresses, seen by nobody.", max_length=5000, examples=["log@example.com"]
    )
    reply_to: str | None = Field(
        None, title="Reply to", description="Where answers go.", max_length=320, examples=["help@example.com"]
    )

    @field_validator("to", "subject", "cc", "bcc", "reply_to")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value is not None and any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise ValueError("must be one line, without control characters")
        return value


class Sent(sdk.Outputs):
    """What the server accepted."""

    message_id: str = Field(title="Message-ID", description="The mail's own id.", examples=["<4f2a@example.com>"])
    accepted: list[str] = Field(
        title="Accepted", description="Addresses the server took it for.", examples=[["ada@example.com"]]
    )
    refused: list[str] = Field(
        default_factory=list, title="Refused", description="Addresses the server would not take.", examples=[[]]
    )


async def deliver(ctx: sdk.Context, server: Server, letter: Letter) -> Sent:
    """Hand a letter to the server. Raises: Rejected, Unavailable, Unknown."""
    recipients = _recipients(letter)
    message = _compose(letter, _sender(server), ctx.idempotency_key)
    client = await signed_in(ctx, server)
    try:
        refused, _ = await client.send_message(message, recipients=recipients)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _refusal(error) from error
    finally:
        client.close()
    accepted = [address for address in recipients if address not in refused]
    return Sent(message_id=message["Message-ID"], accepted=accepted, refused=list(refused))


async def signed_in(ctx: sdk.Context, server: Server) -> aiosmtplib.SMTP:
    """A session that is signed in. Raises: Rejected, Unavailable."""
    sock = await server.connect(ctx)
    client = aiosmtplib.SMTP(
        hostname=server.host,
        sock=sock,
        username=server.username or None,
        password=server.password or None,
        use_tls=server.security is Security.TLS,
        # A user who asks for no protection gets it where the server offers it all the same.
        start_tls=True if server.security is Security.STARTTLS else None,
        tls_context=trust(),
        timeout=SECONDS,
    )
    try:
        await client.connect()
    except aiosmtplib.SMTPAuthenticationError as error:
        raise server.refused(f"{error.code} {error.message}") from error
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError) as error:
        # No mail was handed over yet, so nothing is unknown.
        raise sdk.Unavailable(f"The mail server {server.host} did not go on: {error}") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _refusal(error) from error
    return client


def _sender(server: Server) -> str:
    if not ADDRESS.match(parseaddr(server.sender)[1]):
        raise sdk.Rejected(
            "AREA_EMAIL_FROM is not an address. The operator sets it, as area@example.com.", code="NOT_CONFIGURED"
        )
    return server.sender


def _recipients(letter: Letter) -> list[str]:
    found = dict.fromkeys(
        address
        for name, line in (("to", letter.to), ("cc", letter.cc), ("bcc", letter.bcc))
        if line
        for address in _addresses(line, name)
    )
    if len(found) > MAX_RECIPIENTS:
        raise sdk.Rejected(f"A mail has at most {MAX_RECIPIENTS} recipients; this one has {len(found)}.", field="to")
    return list(found)


def _addresses(to: str, name: str = "to") -> list[str]:
    found = [address for _, address in getaddresses([to])]
    wrong = [address for address in found if not ADDRESS.match(address)]
    if wrong or not found:
        raise sdk.Rejected(f"{to!r} is not a list of mail addresses. Write {SEVERAL}.", field=name, suggestion=SEVERAL)
    return found


def _compose(letter: Letter, sender: str, key: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
    if letter.cc:
        message["Cc"] = letter.cc
    if letter.reply_to:
        message["Reply-To"] = letter.reply_to
    message["Date"] = datetime.now(UTC)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"
    message.set_content(letter.text)
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html")
    return message


def _refusal(error: Exception) -> sdk.NodeError:
    """By RFC 5321, 4.2.1: a 4yz reply may work later, a 5yz reply will not."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        said = f"The mail server answered {error.code} {error.message}"
        if 400 <= error.code < 500:
            return sdk.Unavailable(said)
        if isinstance(error, aiosmtplib.SMTPRecipientRefused):
            return sdk.Rejected(f"{said} for {error.recipient}", code="SMTP_REFUSED", field="to", suggestion=SEVERAL)
        return sdk.Rejected(said, code="SMTP_REFUSED")
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | aiosmtplib.SMTPReadTimeoutError):
        return sdk.Unknown(f"The mail server went away, so the mail may have been sent: {error}")
    if isinstance(error, OSError | aiosmtplib.SMTPConnectError | aiosmtplib.SMTPTimeoutError):
        return sdk.Unavailable(f"The mail server cannot be reached: {error}")
    return sdk.Rejected(f"The mail server cannot do this: {error}", code="SMTP_REFUSED")
