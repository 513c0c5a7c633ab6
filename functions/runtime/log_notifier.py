"""Wake readers when a session's log has grown: after this process's commits, on NOTIFY from others, and by polling.

A notification only makes a reader read after its cursor, so a lost notification costs a second and never an event.
Each process has a connection that listens, a connection that notifies apart from commits, and a thread that polls.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import psycopg
import structlog

from functions.runtime.database import CONNECT, Database
from handlers.event_log import last_seqs, read_notifications, send_notifications
from schema.sql import Conn

CHANNEL = "runyard_log"
REVOKED = "runyard_revoked"
BEAT = "beat"
POLL_SECONDS = 1.0
HINT_SECONDS = 0.010
BEAT_SECONDS = 4.0
SILENT_SECONDS = 12.0
"""A connection that received no heartbeat for this long counts as dead, whatever TCP says."""
MAX_BACKOFF_SECONDS = 5.0

_log = structlog.get_logger("functions.runtime.log_notifier")


class Notifier(Protocol):
    """Wakes the readers of this process and of other processes."""

    @property
    def is_listening(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def announce(self, heads: dict[UUID, int]) -> None:
        """Notify readers after a commit of this process. `heads` is last_seq by session."""
        ...

    def reading(self, session_id: UUID, wake_up: threading.Event) -> AbstractContextManager[Reader]:
        """Register a reader of a session's log. Set its `wake_up` when the log may have grown."""
        ...


class WakeUp(Protocol):
    """A flag to set when a log may have grown. `set` must not wait."""

    def set(self) -> None: ...


class Reader(Protocol):
    def wait(self, after: int, timeout: float) -> bool:
        """Wait for the wake-up, at most `timeout` seconds. Return whether the log has grown beyond `after`."""
        ...


@dataclass
class KnownHead:
    """The last known number of a session's log, and the wake-ups of its readers in this process."""

    seq: int = 0
    wake_ups: set[WakeUp] = field(default_factory=set)


@dataclass(frozen=True)
class _Watching:
    head: KnownHead
    wake_up: threading.Event

    def wait(self, after: int, timeout: float) -> bool:
        if self.head.seq <= after:  # a socket is woken for its peer's messages too, so the wake-up is cleared below
            self.wake_up.wait(timeout)
        self.wake_up.clear()
        return self.head.seq > after


class LogNotifier:
    """The notifier of a resident process. Its poll thread calls `periodic` about every second."""

    def __init__(
        self,
        dsn: str,
        database: Database,
        *,
        periodic: Sequence[Callable[[], None]] = (),
        on_revoked: Callable[[], None] | None = None,
    ) -> None:
        self._dsn = dsn
        self._on_revoked = on_revoked
        self._on_change: Callable[[Collection[UUID]], None] | None = None
        self._database = database
        self._periodic = periodic
        self._heads: dict[UUID, KnownHead] = {}
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

    def observe(self, on_change: Callable[[Collection[UUID]], None]) -> None:
        """Call this, which must not wait, with the sessions that have changed, in this process or another."""
        self._on_change = on_change

    @contextmanager
    def reading(self, session_id: UUID, wake_up: threading.Event) -> Iterator[_Watching]:
        with self.listening(session_id, wake_up) as head:
            yield _Watching(head, wake_up)

    @contextmanager
    def listening(self, session_id: UUID, wake_up: WakeUp) -> Iterator[KnownHead]:
        """Set the wake-up when the log may have grown. Yields its head, which is 0 until something is known."""
        with self._lock:
            head = self._heads.setdefault(session_id, KnownHead())
            head.wake_ups.add(wake_up)
        try:
            yield head
        finally:
            with self._lock:
                head.wake_ups.discard(wake_up)
                if not head.wake_ups:
                    self._heads.pop(session_id, None)

    def announce(self, heads: dict[UUID, int]) -> None:
        if not heads:
            return
        self._wake_all(heads)
        with self._lock:
            for session_id, seq in heads.items():
                self._hints[session_id] = max(seq, self._hints.get(session_id, 0))
        self._hinted.set()

    def _wake_all(self, heads: Mapping[UUID, int]) -> None:
        for session_id, seq in heads.items():
            self._wake(session_id, seq)
        if heads and self._on_change is not None:
            self._on_change(heads.keys())

    def _wake(self, session_id: UUID, seq: int) -> None:
        with self._lock:
            head = self._heads.get(session_id)
            if head is None or seq <= head.seq:
                return
            head.seq = seq
            for wake_up in head.wake_ups:
                wake_up.set()

    def _again_and_again(self, duty: Callable[[], None]) -> None:
        """Run a loop again whenever it returns or raises, which it does when its connection is lost."""
        backoff = 0.1
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                duty()
            except psycopg.Error as error:
                if not self._stopping.is_set():
                    _log.warning(
                        "lost the database connection; reconnecting",
                        duty=duty.__name__,
                        reason=str(error).splitlines()[:1],
                    )
            except Exception:  # noqa: BLE001  the outermost loop of a thread that must not end
                _log.exception("a notifier thread failed; restarting it", duty=duty.__name__)
            backoff = 0.1 if time.monotonic() - began > MAX_BACKOFF_SECONDS else min(backoff * 2, MAX_BACKOFF_SECONDS)
            self._stopping.wait(backoff)

    def _listen(self) -> None:
        with psycopg.connect(self._dsn, application_name="runyard listen", **CONNECT) as conn:
            conn.execute(f"LISTEN {CHANNEL}")
            conn.execute(f"LISTEN {REVOKED}")
            self._listener = conn
            self._heard_at = time.monotonic()
            self._poll_now()  # read notifications that were missed before LISTEN
            while not self._stopping.is_set():
                for notify in conn.notifies(timeout=1.0, stop_after=1):
                    self._heard_at = time.monotonic()
                    if notify.channel == REVOKED:
                        self._revoke()
                    elif notify.pid != self._notifier_pid:  # this process has woken its own readers already
                        self._hear(notify.payload)
                if not self.is_listening:
                    _sever(self._notifier)  # the notifying connection may be the stuck one
                    raise psycopg.OperationalError(
                        f"received no notification for {SILENT_SECONDS} s, not even a heartbeat"
                    )

    def _revoke(self) -> None:
        if self._on_revoked is not None:
            self._on_revoked()

    def _hear(self, payload: str) -> None:
        self._wake_all(read_notifications(payload))

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
                    send_notifications(conn, heads, *([BEAT] if is_due else []))
                self._stopping.wait(HINT_SECONDS)

    def _take_hints(self) -> dict[UUID, int]:
        with self._lock:
            taken, self._hints = self._hints, {}
        return taken

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._poll_now()
            for duty in self._periodic:
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
            self._wake(session_id, seq)


def _sever(conn: Conn | None) -> None:
    """Shut the connection's socket, so that a thread that waits on it gets an error."""
    with suppress(OSError, psycopg.Error):
        if conn is not None:
            with socket.socket(fileno=os.dup(conn.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)


class NoNotifier:
    """The notifier of functions: no threads and no LISTEN. It notifies at once; its readers poll twice a second."""

    is_listening = True

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def announce(self, heads: dict[UUID, int]) -> None:
        if not heads:
            return
        try:
            with psycopg.connect(self._dsn, prepare_threshold=None, **CONNECT) as conn, conn.transaction():
                # a setting of the session would reach the pooler's other clients
                conn.execute("SET LOCAL synchronous_commit = off")
                send_notifications(conn, heads)
        except psycopg.OperationalError as error:
            _log.warning("a notification was lost; readers poll", reason=str(error).splitlines()[:1])

    @contextmanager
    def reading(self, session_id: UUID, wake_up: threading.Event) -> Iterator[_Looking]:  # noqa: ARG002
        yield _Looking(wake_up)


@dataclass(frozen=True)
class _Looking:
    wake_up: threading.Event

    def wait(self, after: int, timeout: float) -> bool:  # noqa: ARG002
        self.wake_up.wait(min(timeout, 0.5))
        return True
