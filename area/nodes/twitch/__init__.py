"""Twitch: react to streams and viewers, talk in chat, set the channel's title. API: https://dev.twitch.tv/docs/api/reference/"""

from area.nodes.twitch import reactions, streams, viewers
from area.nodes.twitch.provider import service

__all__ = ["reactions", "service", "streams", "viewers"]
