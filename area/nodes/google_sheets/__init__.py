"""Google Sheets: react to rows, write and find them. API: https://developers.google.com/workspace/sheets/api"""

from area.nodes.google_sheets import provider, reactions, tables, watching
from area.nodes.google_sheets.provider import service

__all__ = ["provider", "reactions", "service", "tables", "watching"]
