"""Render the server's own pages: the front page, and signing in with a one-time code."""

from __future__ import annotations

import hmac
import shlex
from hashlib import sha256
from pathlib import Path
from typing import Any

from apiflask import APIBlueprint
from flask import Response, make_response, redirect, render_template, request, session
from psycopg import OperationalError
from psycopg.errors import UndefinedTable

from functions.http.auth import SIGNED_IN_USER, permission, public, who_is_asking
from functions.runtime.periodic import LOCAL_ADMIN
from functions.runtime.process import api_process
from functions.site.health import readiness
from functions.site.version import VERSION
from handlers.access.permissions import Actor
from handlers.access.users import user_named
from handlers.runs.read import sessions_of
from schema.rows import SessionRow

LATEST = 10
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
pages = APIBlueprint("pages", __name__, enable_openapi=False)


@pages.get("/")
@public("Without a login the page shows only how to sign in.")
def home() -> Response:
    """Show the front page"""
    actor, latest = _signed_in()
    return _page(
        "home.html",
        actor=actor,
        latest=latest,
        signs_in=api_process().settings.auth == "local",
        version=VERSION,
        parts=readiness(),
        url=api_process().settings.public_url,
        token_file=shlex.quote(str(api_process().settings.local_token_file or Path(".runyard/token"))),
    )


@pages.get("/sign-in")
@public("The one-time code is the credential.")
def sign_in() -> Response:
    """Sign this browser in; each code works once"""
    if request.method == "HEAD":  # a link checker must not use up the code
        return Response()
    if not use_code(request.args.get("code", ""), api_process().settings.sign_in_code_file):
        return _page("code_refused.html", status=403)
    with api_process().database.transaction() as conn:
        user = user_named(conn, LOCAL_ADMIN)
    session.clear()
    session.permanent = True
    session[SIGNED_IN_USER] = str(user.id)
    return _private(make_response(redirect("/", 303)))


@pages.post("/sign-out")
@permission("sessions:read")
def sign_out() -> Response:
    """Sign this browser out"""
    session.clear()
    return _private(make_response(redirect("/", 303)))


def use_code(code: str, file: Path | None) -> bool:
    """Compare the code with the digest in the file; delete the file on a match. Of two concurrent users, one wins."""
    try:
        expected = "" if file is None else file.read_text().strip()
        if not expected or not hmac.compare_digest(sha256(code.encode()).hexdigest(), expected):
            return False
        Path(file or "").unlink()
    except FileNotFoundError:
        return False
    return True


def _signed_in() -> tuple[Actor | None, list[SessionRow]]:
    """Return the user and the user's latest sessions; no user while the database is away, which the page shows."""
    try:
        actor = who_is_asking()
        if actor is None:
            return None, []
        with api_process().database.transaction() as conn:
            return actor, sessions_of(conn, actor, before=None, limit=LATEST)
    except (OperationalError, UndefinedTable):
        return None, []


def _page(template: str, *, status: int = 200, **values: Any) -> Response:
    return _private(make_response(render_template(template, **values), status))


def _private(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response
