"""gunicorn's configuration for a test, and its app: it gives its sockets to a thread of its own, which sends back."""

from __future__ import annotations

import queue
import socket
import threading
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from functions.runtime.served_port import ServedPort

worker_class = "functions.runtime.door.Door"
threads = 2
control_socket_disable = True


class GivingApp:
    """gunicorn loads this module twice, as configuration and as app: what counts is the worker's app."""

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[tuple[socket.socket, bytes]] = queue.SimpleQueue()
        self._worker: Any = None

    def begin(self, worker: Any) -> None:
        self._worker = worker
        threading.Thread(target=self._own, daemon=True).start()

    def __call__(self, wsgi: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if wsgi["PATH_INFO"] == "/connections":
            port = self._worker.public
            body = f"{self._worker.nr_conns} {port.peers} {port.held_bytes}".encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        self._given.put(wsgi["gunicorn.socket"].hand_over())
        raise StopIteration  # ends gunicorn's part

    def _own(self) -> None:
        while True:
            sock, ahead = self._given.get()
            sock.settimeout(None)
            sock.sendall(b"yours: " + ahead)
            sock.sendall(sock.recv(100))


app = GivingApp()


def post_worker_init(worker: Any) -> None:
    worker.serve_ports(
        ServedPort(
            threads=worker.tpool,
            first_threads=worker.tpool,
            goes_first=lambda _method, _path: False,
            most_at_work=100,
            most_peers=100,
            most_bytes=1_000_000,
            body_limit=lambda _method, _path: 1000,
        ),
        {},
    )
    worker.wsgi.begin(worker)
