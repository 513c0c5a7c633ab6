"""Create the Flask app: blueprints by noun, error handlers, permission checks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from wsgiref.types import WSGIApplication

from apiflask import APIFlask
from flask import Response

from functions.callbacks.executor_port import ExecutorPort
from functions.callbacks.fast_path import FastPath
from functions.callbacks.routes import callbacks
from functions.files.audit_routes import audits, exports
from functions.files.many_routes import many_files
from functions.files.policy_routes import policies
from functions.files.put_back_routes import put_backs
from functions.files.reading import hold_file_reading
from functions.files.routes import files
from functions.files.upload_routes import uploads
from functions.http.auth import enforce_permissions
from functions.http.compression import compress_json
from functions.http.cookies import sign_cookies
from functions.http.openapi import describe
from functions.http.parsing import ApiRequest
from functions.http.path_ids import PathIdConverter, methods_of_fixed_path
from functions.http.problems import answer_with_problems
from functions.http.request_guard import RequestGuard, known_hosts
from functions.http.strict_json import StrictJson
from functions.http.tracing import trace_requests
from functions.human_loop.routes import human_loop
from functions.human_loop.rules import rules
from functions.me.routes import me
from functions.providers.routes import providers
from functions.runs.bind import binding
from functions.runs.queue import queue
from functions.runs.routes import runs
from functions.runs.schemas import WaitedAnswer
from functions.runs.start import starting
from functions.runs.todos import todos
from functions.runs.why import why
from functions.runtime.process import ApiProcess, hold, resident_process
from functions.runtime.settings import ApiSettings
from functions.sessions.live_sockets import hold_live_sockets
from functions.sessions.routes import sessions
from functions.sessions.socket_frames import SocketFrame
from functions.sessions.taken_socket import SERVER_OPTIONS
from functions.sessions.websocket import live
from functions.site.health import health
from functions.site.portal import portal
from functions.site.problem_pages import show_problems_as_pages
from functions.site.sign_in import sign_in_methods, sign_in_pages
from functions.site.version import VERSION
from functions.usage.routes import usage
from functions.workers.routes import workers
from functions.workspaces.restore_plans import restore_plans
from functions.workspaces.routes import snapshots
from handlers.access.sign_ins import SIGNED_IN_DAYS

PORTAL = Path(__file__).resolve().parent.parent / "portal"
AREAS = (
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
    providers,
    workers,
    why,
    me,
    usage,
    files,
    many_files,
    audits,
    exports,
    policies,
    uploads,
    put_backs,
    sign_in_methods,
    sign_in_pages,
    portal,
    live,
)


class ApiApp(APIFlask):
    request_class = ApiRequest
    json_provider_class = StrictJson

    def make_default_options_response(self) -> Response:
        """Answer OPTIONS with the methods of this very path."""
        response = super().make_default_options_response()
        fixed = methods_of_fixed_path()
        if fixed is not None:
            response.headers["Allow"] = ", ".join(sorted(fixed))
        return response


def create_app(settings: ApiSettings, *, process: ApiProcess | None = None) -> APIFlask:
    """Return the app over this process's state; without `process`, make a resident server's. The caller calls
    `process.start()`."""
    app = _configured_app(settings)
    if process is None:  # a function's gateway compresses by itself, and some pass no binary bodies
        compress_json(app)
    process = process or resident_process(settings)
    hold(app, process)
    hold_live_sockets(app, process, version=VERSION)
    hold_file_reading(app, settings)
    trace_requests(app)
    answer_with_problems(app)
    show_problems_as_pages(app)
    for area in AREAS:
        app.register_blueprint(area)
    describe(app, waited=WaitedAnswer, frame=SocketFrame)
    enforce_permissions(app)
    _guard(app, settings, process)
    return app


def _configured_app(settings: ApiSettings) -> ApiApp:
    app = ApiApp(
        __name__,
        title="Runyard",
        version=VERSION,
        spec_path=None,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]
        template_folder=str(PORTAL / "pages"),
    )
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.public_url.startswith("https:"),
        PERMANENT_SESSION_LIFETIME=timedelta(days=SIGNED_IN_DAYS),
        # JSON may escape one byte as six
        MAX_CONTENT_LENGTH=6 * settings.max_prompt_bytes + 65_536,
        VALIDATION_ERROR_STATUS_CODE=422,
        PORTAL_DIST=PORTAL / "dist",
        SOCK_SERVER_OPTIONS=SERVER_OPTIONS,
    )
    sign_cookies(app, settings.secret_keys)
    app.url_map.converters["uuid"] = PathIdConverter
    return app


def _guard(app: APIFlask, settings: ApiSettings, process: ApiProcess) -> None:
    """Put in front of the app, from the inside out: executors' fast path, their own port, and the checks of all
    requests."""
    inner: WSGIApplication = FastPath(app.wsgi_app, process)
    if worker_bind := settings.worker_address:
        inner = ExecutorPort(inner, host=worker_bind[0], port=worker_bind[1])
    hosts = known_hosts(settings) if process.is_resident else None
    app.wsgi_app = RequestGuard(inner, hosts=hosts, proxies=settings.proxy_networks)  # type: ignore[assignment, method-assign]
