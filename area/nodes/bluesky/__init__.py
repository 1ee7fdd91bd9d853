"""Bluesky: react to mentions and to posts of an account, write and repost. API: https://docs.bsky.app/docs/category/http-reference"""

from area.nodes.bluesky import provider, reactions, watching
from area.nodes.bluesky.provider import service

__all__ = ["provider", "reactions", "service", "watching"]
