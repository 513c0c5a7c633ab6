"""Serve the built portal: hashed files for ever, its page fresh each time, both compressed when it was built."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import Response, current_app, make_response, redirect, request
from werkzeug.security import safe_join

from functions.http.auth import public, who_is_asking
from functions.runtime.process import api_process
from functions.site.pages import home
from schema.errors import NotFound

BUILD_FOLDER = "PORTAL_DIST"
"""The app's setting that names the folder of the build."""
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGES = (
    "/s/<path:_path>",
    "/inbox",
    "/apps",
    "/usage",
    "/settings",
    "/admin/<path:_path>",
    "/ops",
    "/ops/<path:_path>",
)
portal = APIBlueprint("portal", __name__, enable_openapi=False)


@portal.get("/")
@public("Without a login the page shows only how to sign in.")
def start() -> Response:
    """Show the portal to who is signed in, and else how to sign in"""
    if not is_built():
        return home(awaits_portal=True)
    return _index() if who_is_asking() is not None else home()


def show_page(_path: str = "") -> Response:
    """Show the portal at one of its addresses; it reads the rest of the address itself"""
    if not is_built():
        raise NotFound("The portal is not built: run make portal.", code="portal_not_built")
    if who_is_asking() is None:
        return make_response(redirect(_way_in(), 303))
    return _index()


public("The page is the same for everyone; what it shows, it asks the API for.")(show_page)
for place in PAGES:
    portal.add_url_rule(place, view_func=show_page)


@portal.get("/assets/<path:name>")
@public("The portal's files hold nothing of anybody's.")
def asset(name: str) -> Response:
    """Give a file of the build"""
    path = safe_join(str(_build_folder() / "assets"), name)
    if path is None or not Path(path).is_file() or path.endswith((".br", ".gz")):
        raise NotFound("There is no such file in the portal.", code="unknown_asset")
    response = _file(Path(path))
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _way_in() -> str:
    """Return where to sign in: the form, which comes back to this page, or the page that says how to get a code."""
    if api_process().settings.auth == "local":
        return "/"
    wanted = request.full_path.rstrip("?")
    return f"/sign-in?{urlencode({'next': wanted})}"


def is_built() -> bool:
    """Return whether the portal can be served; the build writes its page last."""
    return (_build_folder() / "index.html").is_file()


def _build_folder() -> Path:
    folder: Path = current_app.config[BUILD_FOLDER]
    return folder


def _index() -> Response:
    response = _file(_build_folder() / "index.html")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _file(path: Path) -> Response:
    """Answer with the smallest form of the file that the client takes."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    encoding, packed = _packed(path)
    response = make_response(packed.read_bytes())
    response.content_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Vary"] = "Accept-Encoding"
    if encoding:
        response.headers["Content-Encoding"] = encoding
    response.add_etag()
    response.make_conditional(request)
    return response


def _packed(path: Path) -> tuple[str | None, Path]:
    for name, suffix in ENCODINGS:
        packed = path.with_name(path.name + suffix)
        if request.accept_encodings.quality(name) > 0 and packed.is_file():
            return name, packed
    return None, path
