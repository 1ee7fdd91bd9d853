"""GitHub: react to what happens in repositories, and write issues, comments and files. API: https://docs.github.com/rest"""

from area.nodes.github import events, hooks, provider, reactions
from area.nodes.github.provider import service

__all__ = ["events", "hooks", "provider", "reactions", "service"]
