"""The Flask app: routes by area, one table of errors, one place that admits."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from pathlib import Path

from apiflask import APIFlask

from functions.admission import enforce_permissions
from functions.binding import binding
from functions.callbacks import callbacks
from functions.edge import Edge, hold, resident_edge
from functions.fleet import fleet
from functions.health import health
from functions.human_loop import human_loop
from functions.live import SERVER_OPTIONS, live
from functions.openapi import describe
from functions.pages import pages
from functions.parsing import EdgeRequest
from functions.problems import answer_with_problems
from functions.queue import queue
from functions.restore_plans import restore_plans
from functions.rules import rules
from functions.runs import runs
from functions.sessions import sessions
from functions.settings import Settings
from functions.short_way import ShortWay
from functions.snapshots import snapshots
from functions.starting import starting
from functions.strict_json import StrictJson
from functions.todos import todos
from functions.tracing import trace_requests
from functions.version import VERSION
from functions.why import why
from functions.workers import workers
from functions.workers_door import WorkersDoor

SIGNED_IN_DAYS = 30
PAGES = Path(__file__).resolve().parent.parent / "portal" / "pages"


class EdgeApp(APIFlask):
    request_class = EdgeRequest
    json_provider_class = StrictJson


def create_app(settings: Settings, *, edge: Edge | None = None) -> APIFlask:
    """The app over this edge (a resident server's, if none is given). `edge.start()` is the caller's to call."""
    app = EdgeApp(
        __name__,
        title="Runyard",
        version=VERSION,
        spec_path=None,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]
        template_folder=str(PAGES),
    )
    app.config.update(
        SECRET_KEY=_derived(settings, "browser session"),
        SESSION_COOKIE_NAME=f"runyard_{_derived(settings, 'cookie name')[:8]}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.public_url.startswith("https:"),
        PERMANENT_SESSION_LIFETIME=timedelta(days=SIGNED_IN_DAYS),
        # a byte can take six in JSON's escapes
        MAX_CONTENT_LENGTH=6 * settings.max_prompt_bytes + 65_536,
        VALIDATION_ERROR_STATUS_CODE=422,
        SOCK_SERVER_OPTIONS=SERVER_OPTIONS,
    )
    edge = edge or resident_edge(settings)
    hold(app, edge)
    trace_requests(app)
    answer_with_problems(app)
    for area in (
        health,
        starting,
        runs,
        binding,
        callbacks,
        queue,
        sessions,
        todos,
        snapshots,
        restore_plans,
        human_loop,
        rules,
        fleet,
        workers,
        why,
        pages,
        live,
    ):
        app.register_blueprint(area)
    describe(app)
    enforce_permissions(app)
    app.wsgi_app = ShortWay(app.wsgi_app, edge)  # type: ignore[assignment, method-assign]
    if worker_bind := settings.worker_address:
        app.wsgi_app = WorkersDoor(app.wsgi_app, host=worker_bind[0], port=worker_bind[1])  # type: ignore[assignment, method-assign]
    return app


def _derived(settings: Settings, purpose: str) -> str:
    """A key for one purpose. The cookie is named by it too: cookies know no ports, and a second clone has its own."""
    return hmac.new(settings.secret_key, purpose.encode(), hashlib.sha256).hexdigest()
