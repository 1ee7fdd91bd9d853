"""Gmail: react to mails, and write them. API: https://developers.google.com/workspace/gmail/api"""

from area.nodes.gmail import events, mails, provider, reactions, writing
from area.nodes.gmail.provider import service

__all__ = ["events", "mails", "provider", "reactions", "service", "writing"]
