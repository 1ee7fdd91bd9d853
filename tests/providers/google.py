"""What the stand-ins of Google's services have in common: consent, tokens, whose account it is, and how errors are written.

https://developers.google.com/identity/protocols/oauth2/web-server
"""

from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, Params

REASONS = {400: "invalidArgument", 401: "authError", 403: "forbidden", 404: "notFound", 409: "duplicate", 410: "gone"}
USERINFO = "/oauth2/v2/userinfo"
SCOPE = "https://www.googleapis.com/auth/"


def earns_refresh_token(asked: Params) -> bool:
    """Whoever has consented before gets one only when asked to consent again."""
    return asked.get("access_type") == "offline" and asked.get("prompt") == "consent"


class Google(StandIn):
    """One service of Google's. A refresh brings no refresh token: the first one stays good."""

    def __init__(self, service: str) -> None:
        dialect = Dialect(
            authorize="/o/oauth2/v2/auth",
            token="/token",
            revoke="/revoke",
            expires_in=3599,
            refresh_again=False,
            offline=earns_refresh_token,
        )
        super().__init__(service, dialect)
        self.own_paths.add(USERINFO)
        self.route("GET", USERINFO, self._userinfo, scopes=("openid",))

    def environment(self) -> dict[str, str]:
        """Whose account it is is asked at another host than the service's own."""
        self.settings["userinfo_url"] = self.url + USERINFO
        return super().environment()

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """One of the scopes suffices, as the reference lists them beside each method."""
        refused = super().admit(call, auth, ())
        if refused or auth == "none" or not scopes or (call.grant and set(call.grant.scopes) & set(scopes)):
            return refused
        return self.refuse(403, "insufficientPermissions", "Request had insufficient authentication scopes.")

    def refuse(self, status: int, code: str, words: str) -> Response:
        """Errors as Google writes them."""
        reason = code if status == 403 and code != "insufficient_scope" else REASONS.get(status, "backendError")
        listed = [{"domain": "global", "reason": reason, "message": words}]
        return JSONResponse({"error": {"code": status, "message": words, "errors": listed}}, status)

    async def _userinfo(self, call: Call) -> Any:
        user = call.user
        shown = {"id": user.id, "name": user.name, "picture": f"{self.url}/pictures/{user.id}"}
        mail = {"email": user.email, "verified_email": True}
        return {**shown, **(mail if call.grant and f"{SCOPE}userinfo.email" in call.grant.scopes else {})}
