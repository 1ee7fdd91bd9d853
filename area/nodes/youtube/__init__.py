"""YouTube: react to new videos and likes; add to playlists, like, comment. API: https://developers.google.com/youtube/v3"""

from area.nodes.youtube import provider, reactions, watching, websub
from area.nodes.youtube.provider import service

__all__ = ["provider", "reactions", "service", "watching", "websub"]
