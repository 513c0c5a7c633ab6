"""Show problems as pages to people who opened an address in a browser; clients of the API keep the JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from flask import Flask, Response, request

from functions.site.pages import page

PROBLEM = "application/problem+json"
API = "/api/"
Kind = Literal["unknown", "not_built", "unavailable", "failed"]
KEPT_HEADERS = ("Allow", "Retry-After")


def show_problems_as_pages(app: Flask) -> None:
    """Answer problems outside of the API as pages to clients that ask for HTML before JSON, as browsers do."""
    app.after_request(_for_people)


def _for_people(response: Response) -> Response:
    if response.mimetype != PROBLEM or request.path.startswith(API):
        return response
    if not _prefers_page():
        response.vary.add("Accept")
        return response
    problem = response.get_json()
    shown = page(
        "problem.html",
        status=response.status_code,
        kind=_kind(response.status_code, str(problem["code"])),
        detail=problem["detail"],
        trace_id=problem["traceId"],
    )
    shown.vary.add("Accept")
    for name in KEPT_HEADERS:
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return shown


def _prefers_page() -> bool:
    liked = request.accept_mimetypes
    return liked.quality("text/html") > max(liked.quality("application/json"), liked.quality(PROBLEM))


def _kind(status: int, code: str) -> Kind:
    """Return which sentences the page has: a person cannot act on more than these."""
    if code == "portal_not_built":
        return "not_built"
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return "unknown"
    return "unavailable" if status == HTTPStatus.SERVICE_UNAVAILABLE else "failed"
