"""Notion: react to pages of a database, create pages and write in them. API: https://developers.notion.com/reference/intro"""

from area.nodes.notion import blocks, provider, reactions, values, watching
from area.nodes.notion.provider import service

__all__ = ["blocks", "provider", "reactions", "service", "values", "watching"]
