"""GET /oauth/{service}/callback: where a provider sends the browser back to after its consent page."""

import html
from urllib.parse import urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from area.core.ids import to_global
from area.engine.connections.outcomes import Outcome, Result
from area.engine.platform import Platform
from area.graphql.context import BROWSER_COOKIE

GOOD = (Outcome.CONNECTED, Outcome.SCOPES_MISSING, Outcome.UNCONFIRMED)
STATUS = {Outcome.PROVIDER_UNAVAILABLE: 502, Outcome.NOT_CONFIGURED: 503, Outcome.FORGED: 403, Outcome.DENIED: 200}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
LONGEST = 4096

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1.5rem }}
body {{ color: #1c1e21; background: #fff }}
h1 {{ font-size: 1.4rem }} code {{ background: #f0f1f3; padding: .15rem .35rem; border-radius: .25rem; word-break: break-all }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e7e9; background: #16181b }} code {{ background: #2a2d31 }} }}
</style></head><body><h1>{title}</h1><p>{message}</p>{more}<p>You can close this page.</p></body></html>
"""


def routes(platform: Platform) -> list[Route]:
    """The routes of this module."""

    async def callback(request: Request) -> Response:
        given = {name: value[:LONGEST] for name, value in request.query_params.items()}
        browser = request.cookies.get(BROWSER_COOKIE)
        result = await platform.connecting.finish(request.path_params["service"], given, browser)
        # The address holds a code and a state: no page that follows may learn it, no cache may keep it.
        headers = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
        if result.next_url:
            return RedirectResponse(result.next_url, 302, headers)
        if result.return_to:
            return RedirectResponse(_back(result), 302, headers)
        return _page(result, headers)

    return [Route("/oauth/{service}/callback", callback)]


def _back(result: Result) -> str:
    """The frontend's address, with what it can show."""
    told = {"connection": result.outcome.value, "service": result.service}
    if result.account_id:
        told["account"] = to_global("ConnectedAccount", result.account_id)
    if result.missing_scopes:
        told["missingScopes"] = " ".join(result.missing_scopes)
    if result.code:
        told["code"] = result.code
    parts = urlsplit(result.return_to or "")
    query = "&".join(part for part in (parts.query, urlencode(told)) if part)
    return urlunsplit(parts._replace(query=query))


def _page(result: Result, headers: dict[str, str]) -> Response:
    """What a browser is shown that no frontend waits for."""
    more = ""
    if result.missing_scopes:
        more = f"<p>Not allowed: <code>{html.escape(' '.join(result.missing_scopes))}</code></p>"
    if result.code:
        told = "The code for <code>confirmConnection</code>, good once and for ten minutes:"
        more = f"<p>{told}</p><p><code>{html.escape(result.code)}</code></p>"
    title = "Connected" if result.outcome in GOOD[:2] else "Confirm it" if result.code else "Not connected"
    content = PAGE.format(title=title, message=html.escape(result.message), more=more)
    status = 200 if result.outcome in GOOD else STATUS.get(result.outcome, 400)
    return HTMLResponse(content, status, {**headers, "Content-Security-Policy": POLICY})
