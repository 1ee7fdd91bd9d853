"""Email: send by SMTP, and react to mail by IMAP, with an account of one's own or the operator's.

The operator may set AREA_EMAIL_SMTP_URL, AREA_EMAIL_FROM and AREA_EMAIL_IMAP_URL; users connect theirs with host and password.
"""

from datetime import timedelta

from area.nodes import sdk
from area.nodes.email import imap, smtp
from area.nodes.email.imap import Mail, Mailbox
from area.nodes.email.servers import Account, server_of
from area.nodes.email.smtp import Letter, Sent

__all__ = ["Account", "Letter", "Mail", "Mailbox", "Sent", "received", "send", "service"]

service = sdk.Service(
    key="email",
    name="Email",
    description="Sends mail, and reacts to mail that arrives.",
    docs_url="https://www.rfc-editor.org/rfc/rfc5321",
    key_auth=sdk.Key(
        fields=Account,
        help="Your provider lists its SMTP and IMAP servers. Many want an app password, made in your account's security settings.",
    ),
)


@service.identify
async def whose(ctx: sdk.Context) -> sdk.Profile:
    """Signs in at each server that was given, and so tries the password."""
    given = Account.model_validate(dict(ctx.credentials))
    if given.smtp_host:
        (await smtp.signed_in(ctx, server_of(ctx, "smtp"))).close()
    if given.imap_host:
        await imap.using(ctx, imap.tried)
    host = given.smtp_host or given.imap_host
    return sdk.Profile(external_id=f"{given.username}@{host}", label=given.sender)


# Servers that greylist take a letter only when it is sent again after some minutes (RFC 6647).
@service.reaction("Send a mail", idempotent=False, timeout=60, attempts=12, account="optional")
async def send(ctx: sdk.Context, letter: Letter) -> Sent:
    """Sends a mail from your account, or through the platform's mail server when no account is chosen."""
    return await smtp.deliver(ctx, server_of(ctx, "smtp"), letter)


@service.poll("Mail received", every=timedelta(minutes=1), account="optional")
async def received(ctx: sdk.Context, where: Mailbox) -> sdk.Page[Mail]:
    """Fires for each mail that arrives in a mailbox. Mails stay unread."""
    page: sdk.Page[Mail] = await imap.using(ctx, imap.poll, where, ctx.cursor or {})
    return page
