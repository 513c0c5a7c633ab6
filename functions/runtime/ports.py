"""Set up the ports of an API process: the public one, and the executor port with threads and limits of its own."""

from __future__ import annotations

import re
import resource
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from flask import Flask

from functions.runtime.request_reader import BodyLimit
from functions.runtime.served_port import ServedPort
from functions.runtime.settings import ApiSettings

CALLBACK_PATH = re.compile(r"/api/runs/[0-9A-Fa-f-]{36}/callbacks")
HEALTH_PATHS = frozenset({"/health", "/ready"})
UPLOAD_PATH = re.compile(r"/api/sessions/[0-9A-Fa-f-]{36}/uploads")
UPLOAD_FORM_BYTES = 65_536
"""The bytes that a form may have around its file."""
EXECUTOR_THREADS = 32
LARGEST_TOGETHER = 8
MOST_PEERS = 10_000
FILES_OF_ONE_PEER = 3
"""A third of the files for each port; the last third is for the database, logs, WebSockets and the rest."""


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one: each connection is a file. Returns the soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS reports a higher limit than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_PEERS * FILES_OF_ONE_PEER if soft == resource.RLIM_INFINITY else soft


def most_peers(open_files: int) -> int:
    """Return how many connections one port may have."""
    return min(MOST_PEERS, open_files // FILES_OF_ONE_PEER)


def body_limit(settings: ApiSettings, app: Flask) -> BodyLimit:
    """Return the limit of bodies: callbacks and uploads may be larger than other requests."""
    others: int = app.config["MAX_CONTENT_LENGTH"]

    def limit(method: str, path: str) -> int:
        is_callback = method == "POST" and CALLBACK_PATH.fullmatch(unquote(path))
        if is_callback:
            return settings.max_callback_bytes
        is_upload = method == "POST" and UPLOAD_PATH.fullmatch(unquote(path))
        return settings.upload_max_bytes + UPLOAD_FORM_BYTES if is_upload else others

    return limit


def goes_first(method: str, path: str) -> bool:
    """Return whether a request is a callback or a health check. `path` is decoded.

    These are served however many others wait, and under every name of the server.
    """
    return path in HEALTH_PATHS or (method == "POST" and CALLBACK_PATH.fullmatch(path) is not None)


def public_port(settings: ApiSettings, app: Flask, cfg: Any, threads: Executor) -> ServedPort:
    return ServedPort(
        threads=threads,
        first_threads=ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="first"),
        goes_first=goes_first,
        most_at_work=settings.api_threads + settings.api_waiting_max,
        most_peers=cfg.worker_connections,
        most_bytes=LARGEST_TOGETHER * max(settings.max_callback_bytes, app.config["MAX_CONTENT_LENGTH"]),
        body_limit=body_limit(settings, app),
    )


def executor_ports(settings: ApiSettings, app: Flask, cfg: Any) -> dict[Any, ServedPort]:
    """Return the executor port by its address. Empty when callbacks come in at the public port."""
    if settings.worker_address is None:
        return {}
    threads = ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="executor-port")
    return {settings.worker_address: public_port(settings, app, cfg, threads)}
