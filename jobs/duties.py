"""Duties: what the job worker does every few seconds beside its jobs, each in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import structlog

from handlers.reconcile import ReconcileLimits, part_seen
from handlers.worker import announce_presence
from jobs.database import CONNECT
from schema.sql import Conn

JOIN_SECONDS = 5.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Duty:
    """`run_once` is called again `every_seconds` after it has ended."""

    name: str
    run_once: Callable[[], None]
    every_seconds: float


class Presence:
    """That this job worker lives and is well: a lock that goes with its connection at once, and a row for its peers."""

    def __init__(self, dsn: str, *, owner: str, limits: ReconcileLimits) -> None:
        self._dsn = dsn
        self._owner = owner
        self._limits = limits
        self._conn: Conn | None = None

    def run_once(self) -> None:
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self._dsn, **CONNECT)
            if not announce_presence(self._conn, self._owner):
                _log.warning("presence.taken", owner=self._owner)
        part_seen(self._conn, "worker", self._limits)

    def end(self) -> None:
        if self._conn is not None:
            self._conn.close()


@contextmanager
def doing(duties: Sequence[Duty], *, closing: threading.Event) -> Iterator[None]:
    """All duties, until `closing` is set."""
    threads = [threading.Thread(target=_do, args=(duty, closing), name=duty.name, daemon=True) for duty in duties]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        closing.set()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _do(duty: Duty, closing: threading.Event) -> None:
    is_well = True
    while not closing.is_set():
        try:
            duty.run_once()
            is_well = True
        except Exception as error:  # noqa: BLE001 - the outermost loop of a duty: it goes on when what it needs is back
            if is_well or not isinstance(error, psycopg.Error):
                _log.exception("duty.failed", duty=duty.name)
            is_well = False
        closing.wait(duty.every_seconds)
