"""Google Drive: react to files, make and share them. API: https://developers.google.com/workspace/drive/api"""

from area.nodes.google_drive import provider, reactions, watching
from area.nodes.google_drive.provider import service

__all__ = ["provider", "reactions", "service", "watching"]
