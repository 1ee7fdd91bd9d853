"""Spotify: react to what is saved, played and put into playlists; fill playlists, and play. API: https://developer.spotify.com/documentation/web-api"""

from area.nodes.spotify import listening, playlists, provider, reactions, tracks
from area.nodes.spotify.provider import service

__all__ = ["listening", "playlists", "provider", "reactions", "service", "tracks"]
