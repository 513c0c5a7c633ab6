"""Render the server's own pages: the front page, and signing in with a one-time code."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from flask import Response, make_response, render_template, request
from psycopg import OperationalError
from psycopg.errors import UndefinedTable

from functions.http.auth import who_is_asking
from functions.runtime.process import api_process
from functions.site.health import readiness
from functions.site.version import VERSION
from handlers.access.permissions import Actor
from handlers.runs.read import sessions_of
from schema.rows import SessionRow

LATEST = 10
LANGUAGES = ("en", "zh")
"""Of the server's own pages, the first where the browser asks for neither."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def home(*, awaits_portal: bool = False) -> Response:
    """Show the front page: how to sign in, and what there is without the portal."""
    actor, latest = _signed_in()
    return page(
        "home.html",
        awaits_portal=awaits_portal,
        actor=actor,
        latest=latest,
        is_local=api_process().settings.auth == "local",
        version=VERSION,
        parts=readiness(),
        url=api_process().settings.public_url,
        token_file=shlex.quote(str(api_process().settings.local_token_file or Path(".runyard/token"))),
    )


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


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """Render a page in the browser's language."""
    language = _language()
    html = render_template(template, language=language, is_chinese=language == "zh", **values)
    response = private(make_response(html, status))
    response.vary.add("Accept-Language")
    return response


def _language() -> str:
    """Return the language that the browser likes best of those that the pages have, else English."""
    liked = (tag.split("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((language for language in liked if language in LANGUAGES), LANGUAGES[0])


def private(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response
