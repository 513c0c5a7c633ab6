"""Wakes readers when a session's log has grown: after commits of this process, by NOTIFY from others, and by a poll.

Whatever wakes a reader is only a hint that it should read after its cursor; a lost hint costs a second, never an event.
Per process: one connection that listens, one that notifies off the path of commits, one thread that polls.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import psycopg
import structlog

from functions.runtime.database import CONNECT, Database
from handlers.event_log import last_seqs, read_hints, send_hints
from schema.sql import Conn

CHANNEL = "runyard_log"
BEAT = "beat"
POLL_SECONDS = 1.0
HINT_SECONDS = 0.010
BEAT_SECONDS = 4.0
SILENT_SECONDS = 12.0
"""A connection that has not even heard the beats for so long is taken for dead, whatever TCP says."""
MAX_BACKOFF_SECONDS = 5.0

_log = structlog.get_logger("functions.runtime.log_notifier")


class Notifier(Protocol):
    """How readers learn that there may be more, and others that there is."""

    @property
    def is_listening(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def tell(self, heads: dict[UUID, int]) -> None:
        """After a commit of this process: last_seq by session."""
        ...

    def reading(self, session_id: UUID, bell: threading.Event) -> AbstractContextManager[Reader]:
        """Whoever reads a session's log here; its bell rings when the log may have grown."""
        ...


class Reader(Protocol):
    def wait(self, after: int, timeout: float) -> bool:
        """Wait until the bell rings, at most `timeout` seconds; whether the log has got beyond `after`."""
        ...


@dataclass
class _Head:
    """The last number known of one session's log, and the bells of those who read it here."""

    seq: int = 0
    bells: set[threading.Event] = field(default_factory=set)


@dataclass(frozen=True)
class _Watching:
    head: _Head
    bell: threading.Event

    def wait(self, after: int, timeout: float) -> bool:
        if self.head.seq <= after:  # who reads a socket clears its bell too, when a message of the peer might have rung
            self.bell.wait(timeout)
        self.bell.clear()
        return self.head.seq > after


class LogNotifier:
    """The watch of a resident process. `duties` are called about every second, in the poll's thread."""

    def __init__(self, dsn: str, database: Database, *, duties: Sequence[Callable[[], None]] = ()) -> None:
        self._dsn = dsn
        self._database = database
        self._duties = duties
        self._heads: dict[UUID, _Head] = {}
        self._lock = threading.Lock()
        self._hints: dict[UUID, int] = {}
        self._hinted = threading.Event()
        self._stopping = threading.Event()
        self._heard_at: float | None = None
        self._listener: Conn | None = None
        self._notifier: Conn | None = None
        self._notifier_pid: int | None = None
        self._threads: list[threading.Thread] = []

    @property
    def is_listening(self) -> bool:
        heard_at = self._heard_at
        return heard_at is not None and time.monotonic() - heard_at < SILENT_SECONDS

    def start(self) -> None:
        for duty in (self._listen, self._notify, self._poll):
            name = duty.__name__.strip("_")
            thread = threading.Thread(target=self._again_and_again, args=(duty,), name=f"log-watch-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopping.set()
        self._hinted.set()
        _sever(self._listener)
        for thread in self._threads:
            thread.join(timeout=5)

    @contextmanager
    def reading(self, session_id: UUID, bell: threading.Event) -> Iterator[_Watching]:
        with self._lock:
            head = self._heads.setdefault(session_id, _Head())
            head.bells.add(bell)
        try:
            yield _Watching(head, bell)
        finally:
            with self._lock:
                head.bells.discard(bell)
                if not head.bells:
                    self._heads.pop(session_id, None)

    def tell(self, heads: dict[UUID, int]) -> None:
        if not heads:
            return
        for session_id, seq in heads.items():
            self._ring(session_id, seq)
        with self._lock:
            for session_id, seq in heads.items():
                self._hints[session_id] = max(seq, self._hints.get(session_id, 0))
        self._hinted.set()

    def _ring(self, session_id: UUID, seq: int) -> None:
        with self._lock:
            head = self._heads.get(session_id)
            if head is None or seq <= head.seq:
                return
            head.seq = seq
            for bell in head.bells:
                bell.set()

    def _again_and_again(self, duty: Callable[[], None]) -> None:
        """Each duty returns or raises only when its connection is lost; it then begins anew."""
        backoff = 0.1
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                duty()
            except psycopg.Error as error:
                if not self._stopping.is_set():
                    _log.warning("lost the database", duty=duty.__name__, reason=str(error).splitlines()[:1])
            except Exception:  # noqa: BLE001  the outermost loop of a thread that must not end
                _log.exception("a duty failed", duty=duty.__name__)
            backoff = 0.1 if time.monotonic() - began > MAX_BACKOFF_SECONDS else min(backoff * 2, MAX_BACKOFF_SECONDS)
            self._stopping.wait(backoff)

    def _listen(self) -> None:
        with psycopg.connect(self._dsn, application_name="runyard listen", **CONNECT) as conn:
            conn.execute(f"LISTEN {CHANNEL}")
            self._listener = conn
            self._heard_at = time.monotonic()
            self._poll_now()  # what was notified while nobody listened
            while not self._stopping.is_set():
                for notify in conn.notifies(timeout=1.0, stop_after=1):
                    self._heard_at = time.monotonic()
                    if notify.pid != self._notifier_pid:  # our own readers know already
                        self._hear(notify.payload)
                if not self.is_listening:
                    _sever(self._notifier)  # it may be the one that is stuck
                    raise psycopg.OperationalError(f"nothing was heard for {SILENT_SECONDS} s, not even our own beats")

    def _hear(self, payload: str) -> None:
        for session_id, seq in read_hints(payload).items():
            self._ring(session_id, seq)

    def _notify(self) -> None:
        with psycopg.connect(self._dsn, application_name="runyard notify", **CONNECT) as conn:
            conn.execute("SET synchronous_commit = off")
            conn.execute("SET statement_timeout = '5s'")
            self._notifier, self._notifier_pid = conn, conn.info.backend_pid
            beaten_at = 0.0
            while not self._stopping.is_set():
                self._hinted.wait(max(0.0, beaten_at + BEAT_SECONDS - time.monotonic()))
                self._hinted.clear()
                heads = self._take_hints()
                is_due = time.monotonic() - beaten_at >= BEAT_SECONDS
                if is_due:
                    beaten_at = time.monotonic()
                if heads or is_due:
                    send_hints(conn, heads, *([BEAT] if is_due else []))
                self._stopping.wait(HINT_SECONDS)

    def _take_hints(self) -> dict[UUID, int]:
        with self._lock:
            taken, self._hints = self._hints, {}
        return taken

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._poll_now()
            for duty in self._duties:
                duty()
            self._stopping.wait(POLL_SECONDS)

    def _poll_now(self) -> None:
        with self._lock:
            read_here = list(self._heads)
        if not read_here:
            return
        with self._database.transaction() as conn:
            heads = last_seqs(conn, read_here)
        for session_id, seq in heads.items():
            self._ring(session_id, seq)


def _sever(conn: Conn | None) -> None:
    """Wake the thread that waits for an answer on this connection: it gets an error."""
    with suppress(OSError, psycopg.Error):
        if conn is not None:
            with socket.socket(fileno=os.dup(conn.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)


class NoNotifier:
    """For functions: no threads and no LISTEN. Hints are sent at once; who waits looks again twice a second."""

    is_listening = True

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def tell(self, heads: dict[UUID, int]) -> None:
        if not heads:
            return
        try:
            with psycopg.connect(self._dsn, prepare_threshold=None, **CONNECT) as conn:
                conn.execute("SET synchronous_commit = off")
                send_hints(conn, heads)
        except psycopg.OperationalError as error:
            _log.warning("a hint was lost", reason=str(error).splitlines()[:1])

    @contextmanager
    def reading(self, session_id: UUID, bell: threading.Event) -> Iterator[_Looking]:  # noqa: ARG002
        yield _Looking(bell)


@dataclass(frozen=True)
class _Looking:
    bell: threading.Event

    def wait(self, after: int, timeout: float) -> bool:  # noqa: ARG002
        self.bell.wait(min(timeout, 0.5))
        return True
