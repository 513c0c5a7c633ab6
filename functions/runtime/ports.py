"""The ports of an API process: the public one, and the executor port with threads and limits of its own."""

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
EXECUTOR_THREADS = 32
LARGEST_TOGETHER = 8
MOST_PEERS = 10_000
FILES_OF_ONE_PEER = 3
"""One for its socket; the rest is for the other port, the database, logs and what else a process opens."""


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one, for each connection is a file. Returns what it is now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a lower limit than the one it tells
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_PEERS * FILES_OF_ONE_PEER if soft == resource.RLIM_INFINITY else soft


def most_peers(open_files: int) -> int:
    """How many connections one port may have."""
    return min(MOST_PEERS, open_files // FILES_OF_ONE_PEER)


def body_limit(settings: ApiSettings, app: Flask) -> BodyLimit:
    """Callbacks may be larger than what people send."""
    others: int = app.config["MAX_CONTENT_LENGTH"]

    def limit(method: str, path: str) -> int:
        is_callback = method == "POST" and CALLBACK_PATH.fullmatch(unquote(path))
        return settings.max_callback_bytes if is_callback else others

    return limit


def public_port(settings: ApiSettings, app: Flask, cfg: Any, threads: Executor) -> ServedPort:
    return ServedPort(
        threads=threads,
        most_peers=cfg.worker_connections,
        most_bytes=LARGEST_TOGETHER * max(settings.max_callback_bytes, app.config["MAX_CONTENT_LENGTH"]),
        body_limit=body_limit(settings, app),
    )


def executor_ports(settings: ApiSettings, app: Flask, cfg: Any) -> dict[Any, ServedPort]:
    """By the address that executors call; empty when callbacks come in at the public port."""
    if settings.worker_address is None:
        return {}
    threads = ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="executor-port")
    return {settings.worker_address: public_port(settings, app, cfg, threads)}
