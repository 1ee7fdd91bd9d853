"""Mastodon: react to mentions and to posts of an account, write and boost. API: https://docs.joinmastodon.org/client/intro/"""

from area.nodes.mastodon import provider, reactions, watching
from area.nodes.mastodon.provider import service

__all__ = ["provider", "reactions", "service", "watching"]
