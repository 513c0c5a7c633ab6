"""Hints: after a commit that appended events, readers in other processes are woken. A lost one costs delay, never data.

Each goes in a transaction of its own whose commit nobody waits for, on one connection, so that the queue of
notifications never holds up a run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from uuid import UUID

import psycopg
import structlog

from handlers.event_log import send_notifications
from schema.sql import Conn

_log = structlog.stdlib.get_logger(__name__)


class Notify:
    """Sends hints; the connection is made when first needed, and again when it was lost."""

    def __init__(self, connect: Callable[[], Conn]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._conn: Conn | None = None

    def send(self, heads: Mapping[UUID, int]) -> None:
        """Tell every reader how far these sessions' logs reach now."""
        if not heads:
            return
        with self._lock:
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = self._connect()
                send_notifications(self._conn, heads)
            except psycopg.Error as error:
                _log.warning("hint.lost", why=str(error))
                self._disconnect()

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
