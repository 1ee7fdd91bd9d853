"""GitHub: react to what happens in repositories, and write issues, comments and files. API: https://docs.github.com/rest"""

from area.nodes.github import code, files, hooks, issues, provider, repositories, talk, workflows
from area.nodes.github.provider import service

__all__ = ["code", "files", "hooks", "issues", "provider", "repositories", "service", "talk", "workflows"]
