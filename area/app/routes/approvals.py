"""The page behind an approval's link. Looking at it decides nothing: mail scanners and previews open links; only a button does."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from area.app import bodies
from area.app.problems import unavailable
from area.core import log
from area.core.errors import AreaError, Conflict, InvalidInput, NotFound
from area.db.orm import is_away
from area.engine import approvals
from area.engine.platform import Platform

logger = log.get(__name__)

MOST_BYTES = 32 << 10
"""Largest form that is read."""

HEADERS = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 34rem; margin: 12vh auto; padding: 0 1rem }}
h1 {{ font-size: 1.3rem }} p.said {{ white-space: pre-wrap; font-size: 1.1rem }} p.about {{ opacity: .7; font-size: .9rem }}
textarea {{ width: 100%; box-sizing: border-box; font: inherit; margin: .3rem 0 1rem }}
button {{ font: inherit; padding: .6rem 1.4rem; margin-right: .6rem; border: 0; border-radius: .4rem; color: #fff }}
button.yes {{ background: #17794a }} button.no {{ background: #a3292f }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"""

FORM = """<form method="post">
<label>Comment (may be left out)<textarea name="comment" rows="3" maxlength="{most}"></textarea></label>
<button class="yes" name="decision" value="approve">Approve</button>
<button class="no" name="decision" value="reject">Reject</button></form>"""


def routes(platform: Platform) -> list[Route]:
    """The routes of this module."""

    async def approval(request: Request) -> Response:
        token = request.path_params["token"]
        try:
            if request.method == "POST":
                return await _decide(platform, request, token)
            return _question(await approvals.asked(platform, token))
        except AreaError as error:
            return _refusal(error)
        except Exception as error:
            if not is_away(error):
                raise
            return _page("Try again in a moment", f"<p>{escape(unavailable().detail)}</p>", 503, {"Retry-After": "5"})

    return [Route("/approvals/{token}", approval, methods=["GET", "POST"])]


async def _decide(platform: Platform, request: Request, token: str) -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    raw = await bodies.read(request.receive, headers, MOST_BYTES)
    form = await bodies.parse(request.scope, raw, headers.get("content-type", ""))
    given = form if isinstance(form, dict) else {}
    decision = given.get("decision")
    if decision not in ("approve", "reject"):
        raise InvalidInput("Press one of the two buttons: the decision is approve or reject.")
    approved = decision == "approve"
    question = await approvals.decide_by_link(
        platform, token, approved=approved, comment=str(given.get("comment") or "")
    )
    return _page("Approved" if approved else "Rejected", _about(question) + "<p>You can close this page.</p>")


def _question(question: approvals.Asked) -> Response:
    if question.state == "open":
        until = question.expires_at
        ends = f'<p class="about">Until {until:%Y-%m-%d %H:%M} UTC.</p>' if until else ""
        return _page("Approve or reject?", _about(question) + FORM.format(most=approvals.LONGEST_COMMENT) + ends)
    if question.state == "decided":
        verb = "Approved" if question.approved else "Rejected"
        return _page(f"{verb} already", _about(question) + f"<p>By {escape(question.decided_by or '')}.</p>")
    title = "The time to decide is over" if question.state == "expired" else "There is nothing to decide any more"
    return _page(title, _about(question), 410)


def _about(question: approvals.Asked) -> str:
    said = question.message or f"Step {question.step!r} asks for approval."
    return f'<p class="said">{escape(said)}</p><p class="about">Asked by the AREA {escape(question.area_name)}.</p>'


def _refusal(error: AreaError) -> Response:
    status = {NotFound: 404, Conflict: 409, InvalidInput: 400}.get(type(error), 400)
    title = {404: "No such question", 409: "Not decided"}.get(status, "Something is missing")
    return _page(title, f"<p>{escape(error.message)}</p>", status)


def _page(title: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return HTMLResponse(PAGE.format(title=escape(title), body=body), status, {**HEADERS, **(headers or {})})
