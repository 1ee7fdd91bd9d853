"""Telegram: react to what is written to a bot, and write as it. API: https://core.telegram.org/bots/api"""

from area.nodes.telegram import events, provider, reactions
from area.nodes.telegram.provider import service

__all__ = ["events", "provider", "reactions", "service"]
