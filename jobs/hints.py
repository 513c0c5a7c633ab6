"""Hints: after a commit that appended events, readers in other processes are woken. A lost one costs delay, never data.

Each goes in a transaction of its own whose commit nobody waits for, on one connection, so that the queue of
notifications never holds up a run.
"""

from __future__ import annotations

import threading
from uuid import UUID

import psycopg
import structlog

from schema.sql import Conn, fetch_value

_log = structlog.stdlib.get_logger(__name__)


class Hints:
    """Sends hints; the connection is made when first needed and again when it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = threading.Lock()
        self._conn: Conn | None = None

    def send(self, session_id: UUID) -> None:
        """Tell every reader how far the session's log reaches now."""
        with self._lock:
            try:
                conn = self._connected()
                seq = fetch_value(conn, "last_seq", session_id=session_id)
                if seq is not None:
                    fetch_value(conn, "hint", payload=f"{session_id}:{seq}")
            except psycopg.Error as error:
                _log.warning("hint.lost", why=str(error))
                self._disconnect()

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _connected(self) -> Conn:
        if self._conn is None or self._conn.closed:
            options = "-c synchronous_commit=off"
            self._conn = psycopg.connect(self._dsn, autocommit=True, connect_timeout=5, options=options)
        return self._conn

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
