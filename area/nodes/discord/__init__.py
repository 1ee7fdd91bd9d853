"""Discord: react to messages and slash commands; post, answer, open threads, give roles.

API: https://docs.discord.com/developers/reference and the pages that each module names.

What an operator sets, from the application's pages at https://discord.com/developers/applications:

- ``AREA_DISCORD_CLIENT_ID`` and ``_CLIENT_SECRET`` (OAuth2), ``_BOT_TOKEN`` (Bot): users connect a server by adding the bot to it.
- ``AREA_DISCORD_PUBLIC_KEY`` (General Information): for slash commands. On the same page, the Interactions Endpoint URL is
  ``<public URL>/webhooks/discord``; Discord tries it when it is saved.
- The Message Content intent (Bot), without which messages of others arrive with no text.
"""

from area.nodes.discord import commands, members, messages, reactions, threads, watching
from area.nodes.discord.connection import service

__all__ = ["commands", "members", "messages", "reactions", "service", "threads", "watching"]
