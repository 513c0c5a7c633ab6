"""Tell other API processes who reads here, and learn who reads there: at most one transaction a second.

A process writes only changes and its lease. One that dies without a word is gone when its lease ends.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from functools import partial
from uuid import uuid4

import structlog
from psycopg import OperationalError
from psycopg.errors import UndefinedTable

from functions.runtime.database import Database
from functions.runtime.socket_hub import SocketHub
from functions.sessions.presence import Elsewhere, PresentReaders
from functions.sessions.socket_frames import PresentUser
from handlers.sessions.presence import (
    LEASE_SECONDS,
    PresenceLease,
    PresentReader,
    change_readers,
    end_presence,
    readers_elsewhere,
    renew_presence,
)
from schema.sql import Conn

EXCHANGE_SECONDS = 1.0
RENEWAL_SECONDS = LEASE_SECONDS / 3
_log = structlog.get_logger("functions.sessions.presence_exchange")


class PresenceExchange:
    """`_written` are the readers of this process that the database has, unless a call failed (`_is_certain`)."""

    def __init__(self, hub: SocketHub, readers: PresentReaders, database: Database) -> None:
        self._hub, self._readers, self._database = hub, readers, database
        self._process_id = uuid4()
        self._written: set[PresentReader] = set()
        self._lease = PresenceLease(is_new=True, has_others=False)
        self._renewed_at = 0.0
        self._is_certain = True
        self._shown: Elsewhere = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; call it after fork."""
        self._process_id = uuid4()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave every session at once, where the database answers."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def run_once(self) -> None:
        """Write what has changed here and read what others wrote. No reader here and before: no query.

        Raises OperationalError; the next call then begins with a new lease.
        """
        present = self._readers.present()
        if not present and not self._written:
            self._show({})
            return
        try:
            with self._database.transaction() as conn:
                self._renew(conn)
                change_readers(conn, self._process_id, entered=present - self._written, gone=self._written - present)
                elsewhere = self._read(conn, present)
        except Exception:
            self._is_certain = False
            raise
        self._is_certain = True
        self._written = present
        self._show(elsewhere)

    def _renew(self, conn: Conn) -> None:
        """Renew the lease when it is time. Begin a new one when it is not certain what a failed call left behind."""
        now = time.monotonic()
        if not self._is_certain:
            end_presence(conn, self._process_id)
        if not self._is_certain or now >= self._renewed_at + RENEWAL_SECONDS:
            self._lease = renew_presence(conn, self._process_id)
            self._renewed_at = now
            if self._lease.is_new:
                self._written = set()

    def _read(self, conn: Conn, present: set[PresentReader]) -> Elsewhere:
        if not self._lease.has_others:
            return {}
        elsewhere = defaultdict(set)
        for reader in readers_elsewhere(conn, self._process_id, {session_id for session_id, _ in present}):
            elsewhere[reader.session_id].add(PresentUser(user_id=reader.user_id, name=reader.name))
        return {session_id: frozenset(users) for session_id, users in elsewhere.items()}

    def _show(self, elsewhere: Elsewhere) -> None:
        if elsewhere or self._shown:
            self._hub.call(partial(self._readers.show_elsewhere, elsewhere))
        self._shown = elsewhere

    def _run(self) -> None:
        while not self._stopping.wait(EXCHANGE_SECONDS):
            try:
                self.run_once()
            except (OperationalError, UndefinedTable):
                _log.warning("the database did not answer; other processes learn later who reads here")
            except Exception:  # noqa: BLE001  the outermost loop of a thread that must not end
                _log.exception("presence could not be exchanged")
        self._leave()

    def _leave(self) -> None:
        if self._written:
            try:
                with self._database.transaction() as conn:
                    end_presence(conn, self._process_id)
            except OperationalError:
                _log.warning("the database did not answer; other processes show this one's readers for some seconds")
