"""End open streams whose reader may read no more: one statement a second asks for all of them, and each revocation
asks at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from psycopg import OperationalError

from functions.runtime.database import Database
from handlers.access.open_streams import OpenStream, streams_to_end
from schema.errors import RunyardError
from schema.isolation import isolated

RECHECK_SECONDS = 1.0
_log = structlog.get_logger("functions.runtime.access_watch")


@dataclass(eq=False)
class WatchedAccess:
    """A reader's access, which may end: `on_end` is then called in the watch's thread, once."""

    stream: OpenStream
    on_end: Callable[[RunyardError], None] = field(repr=False)


@dataclass(eq=False)
class HeldAccess:
    """The access of a reader that holds a thread. `wake_up` is set when it ends."""

    wake_up: threading.Event
    fault: RunyardError | None = None

    def end(self, fault: RunyardError) -> None:
        self.fault = fault
        self.wake_up.set()

    def confirm(self) -> None:
        """Raise Unauthenticated or NotFound once the access has ended."""
        if self.fault is not None:
            raise self.fault


class AccessWatch:
    """The watched accesses of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: dict[OpenStream, set[WatchedAccess]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="access-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def wake(self) -> None:
        """Check now: someone's access was revoked."""
        self._wake.set()

    def watch(self, stream: OpenStream, on_end: Callable[[RunyardError], None]) -> WatchedAccess:
        watched = WatchedAccess(stream, on_end)
        with self._lock:
            self._watched.setdefault(stream, set()).add(watched)
        return watched

    def forget(self, watched: WatchedAccess) -> None:
        with self._lock:
            same = self._watched.get(watched.stream, set())
            same.discard(watched)
            if not same:
                self._watched.pop(watched.stream, None)

    @contextmanager
    def holding(self, stream: OpenStream, wake_up: threading.Event) -> Iterator[HeldAccess]:
        held = HeldAccess(wake_up)
        watched = self.watch(stream, held.end)
        try:
            yield held
        finally:
            self.forget(watched)

    def run_once(self) -> None:
        """Call `on_end` of readers whose access has ended; of no reader while the database does not answer."""
        with self._lock:
            streams = list(self._watched)
        if not streams:
            return
        with self._database.transaction() as conn:
            ended = streams_to_end(conn, streams)
        for stream, fault in ended:
            with self._lock:
                on_end = self._watched.pop(stream, set())
            for watched in on_end:
                with isolated("stream.not_ended", credentialId=stream.credential_id, sessionId=stream.session_id):
                    watched.on_end(fault)

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self.run_once()
            except OperationalError:  # readers stay: no answer denies them
                _log.warning("the database did not answer; access is checked again in a second")
            except Exception:  # noqa: BLE001  the outermost loop of a thread that must not end
                _log.exception("access could not be checked")
            self._wake.wait(RECHECK_SECONDS)
            self._wake.clear()
