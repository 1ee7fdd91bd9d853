"""GitLab: react to pushes, merge requests, pipelines and issues; write issues and comments, start pipelines.

API: https://docs.gitlab.com/api/rest/
"""

from area.nodes.gitlab import events, hooks, items, pipelines, projects, provider, writing
from area.nodes.gitlab.provider import service

__all__ = ["events", "hooks", "items", "pipelines", "projects", "provider", "service", "writing"]
