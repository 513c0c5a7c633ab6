"""Notify readers in other processes after a commit that appended events. A lost notification delays, it loses no data.

Each notification has its own transaction with an asynchronous commit, on one connection. So the notification queue
never delays a run.
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
    """Sends notifications. It connects at the first one, and again after a lost connection."""

    def __init__(self, connect: Callable[[], Conn]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._conn: Conn | None = None

    def send(self, heads: Mapping[UUID, int]) -> None:
        """Notify every reader of these sessions' newest sequence numbers."""
        if not heads:
            return
        with self._lock:
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = self._connect()
                send_notifications(self._conn, heads)
            except psycopg.Error as error:
                _log.warning("notification.lost", why=str(error))
                self._disconnect()

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
