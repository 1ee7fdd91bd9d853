"""The three services elsewhere: Twitch, a Discord that can be slow to answer, and a mail server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from tests.providers.calls import Call
from tests.providers.discord import Discord

Say = Callable[[str, str], None]
"""Where the story is told: who, and what."""
USER, PASSWORD = "post@area.example", "pässwörd of the mail"


class SlowDiscord(Discord):
    """While ``is_slow``, a message is posted, and whoever posted it is not told so yet."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self.is_slow = False
        self.owes = asyncio.Event()
        """An answer is kept back."""
        self._say = say
        self._answers = asyncio.Event()

    async def create_message(self, call: Call) -> Any:
        """Post it, as Discord does; then perhaps keep silent."""
        channel = call.parameters["channel"]
        before = len(self.messages.get(channel, []))
        answer = await super().create_message(call)
        if len(self.messages[channel]) > before:
            name = self._server_of(channel).channels[channel]["name"]
            self._say("discord", f"#{name}  {answer['author']['username']}: {answer['content']}")
        else:
            self._say("discord", "the same message again: Discord knows its nonce, and posts nothing")
        if self.is_slow:
            self.owes.set()
            await self._answers.wait()
        return answer

    def release(self) -> None:
        """Answer what is owed, too."""
        super().release()
        self._answers.set()


class Postmaster:
    """A mail server's mind: keeps every mail, with whom it is really for."""

    def __init__(self, say: Say) -> None:
        self.mails: list[tuple[EmailMessage, list[str]]] = []
        self.sign_ins = 0
        self.port = 0
        self._say = say

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail."""
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((message, list(envelope.rcpt_tos)))
        body = message.get_body(("plain",))
        text = body.get_content().strip() if body else ""
        self._say("mail", f"To: {message['To']}\nSubject: {message['Subject']}\n{text}")
        return "250 OK"

    def let_in(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        """Whether the password is right."""
        is_right = (given.login.decode(), given.password.decode()) == (USER, PASSWORD)
        self.sign_ins += is_right
        return AuthResult(success=is_right, handled=is_right)


@asynccontextmanager
async def mail_server(say: Say) -> AsyncIterator[Postmaster]:
    """One on loopback, in clear."""
    postmaster, loop = Postmaster(say), asyncio.get_running_loop()

    def mind() -> SMTP:
        return SMTP(postmaster, loop=loop, authenticator=postmaster.let_in, auth_require_tls=False)

    server = await loop.create_server(mind, "127.0.0.1", 0)
    postmaster.port = server.sockets[0].getsockname()[1]
    try:
        yield postmaster
    finally:
        server.close()
