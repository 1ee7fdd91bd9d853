"""Slack: react to what happens in a workspace, and write in its channels. API: https://docs.slack.dev/"""

from area.nodes.slack import events, provider, reactions
from area.nodes.slack.provider import service

__all__ = ["events", "provider", "reactions", "service"]
