"""Twitch: react to streams and viewers, talk in chat, set the channel's title. API: https://dev.twitch.tv/docs/api/reference/"""

from area.nodes.twitch import broadcast, chat, streams, viewers
from area.nodes.twitch.provider import service

__all__ = ["broadcast", "chat", "service", "streams", "viewers"]
