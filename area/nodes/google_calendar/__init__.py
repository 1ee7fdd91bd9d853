"""Google Calendar: react to events, and make them. API: https://developers.google.com/workspace/calendar/api"""

from area.nodes.google_calendar import provider, reactions, shapes, watching
from area.nodes.google_calendar.provider import service

__all__ = ["provider", "reactions", "service", "shapes", "watching"]
