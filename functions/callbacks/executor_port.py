"""Serve only callbacks on the executor port: agents can reach it too."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from functions.runtime.ports import CALLBACK_PATH
from functions.runtime.refusals import RefusedRequest, refusal_json

_REFUSAL = RefusedRequest(HTTPStatus.NOT_FOUND, "This port serves only callbacks of runs.", code="no_such_route")


class ExecutorPort:
    """A WSGI application around all others. Callbacks are signed per run."""

    def __init__(self, app: WSGIApplication, *, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port

    def __call__(self, wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_callback = wsgi["REQUEST_METHOD"] == "POST" and CALLBACK_PATH.fullmatch(wsgi["PATH_INFO"])
        if is_callback or not self._came_in_here(wsgi):
            return self._app(wsgi, start_response)
        content = refusal_json(_REFUSAL)
        headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(content)))]
        start_response("404 Not Found", headers)
        return [content]

    def _came_in_here(self, wsgi: WSGIEnvironment) -> bool:
        """Look at the socket itself: a client's Host header proves nothing."""
        connection = wsgi.get("gunicorn.socket")
        if not isinstance(connection, socket.socket):
            return False
        try:
            name = connection.getsockname()
        except OSError:  # the connection is closed already
            return True
        return isinstance(name, tuple) and name[1] == self._port and self._host in (name[0], "0.0.0.0")  # noqa: S104
