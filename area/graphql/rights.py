"""Whether those who were let in may stay: asked again while a connection is open."""

from area.auth.caller import Caller
from area.auth.service import AuthService
from area.core.log import get

logger = get("area.graphql")


async def judged(auth: AuthService, caller: Caller | None) -> str | None:
    """Why a caller may not stay, or None. While the database is away nobody is turned out."""
    if caller is None:
        return None
    try:
        return await auth.problem(caller)
    except Exception as error:
        logger.warning("graphql.recheck_failed", error=repr(error))
        return None
