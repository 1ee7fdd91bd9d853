"""The three services elsewhere: Twitch, a Discord that can be slow to answer, and a mail server."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.providers.calls import Call
from tests.providers.discord import Discord
from tests.providers.email import Email, Mail

Say = Callable[[str, str], None]
"""Where the story is told: who, and what."""


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


class TellingEmail(Email):
    """Says of each mail that it came."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    async def accept(self, mail: Mail) -> None:
        """Take a mail."""
        await super().accept(mail)
        message, text = mail.message, mail.bodies()["text/plain"].strip()
        self._say("mail", f"To: {message['To']}\nSubject: {message['Subject']}\n{text}")
