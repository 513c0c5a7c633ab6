"""Tell users, unasked, which rows of their list of sessions have changed, and which requests wait for them.

A row that cannot be shown is logged and left out, so that it holds up no other session's.

The log notifier says which sessions have changed; a thread then asks once for all users that have a tab here. A poll
each second finds what no notification told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from psycopg import OperationalError

from functions.human_loop.presenters import shown_request_answer
from functions.runtime.database import Database
from functions.runtime.socket_hub import SocketHub
from functions.sessions.presenters import session_answer
from functions.sessions.socket_frames import RequestFrame, SessionDeletedFrame, SessionFrame, frame_of
from handlers.access.permissions import Actor, permissions_of
from handlers.human_loop.pending import ShownRequest, changed_requests, open_requests, waits_for
from handlers.sessions.overview import deleted_sessions_of_owners, overviews_of_owners, recently_active_sessions
from schema.isolation import isolated, rows_that_load
from schema.sql import Conn

ROW_SECONDS = 1.0
POLL_SECONDS = 1.0
POLLED_SECONDS = 5.0
PAUSE_SECONDS = 0.05
MOST_REMEMBERED = 10_000
ROW_LEFT_OUT = "session_frame.left_out"
REQUEST_LEFT_OUT = "request_frame.left_out"
_log = structlog.get_logger("functions.sessions.list_changes")


class Tab(Protocol):
    """A socket of a user. The hub's thread sends."""

    actor: Actor

    def send(self, frame: bytes) -> None: ...


class ListChanges:
    """`_due` has the sessions to report, with the earliest time; `_open` the open requests, with their escalation."""

    def __init__(self, hub: SocketHub, database: Database) -> None:
        self._hub = hub
        self._database = database
        self._tabs: dict[UUID, set[Tab]] = {}
        self._fresh: set[UUID] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._due: dict[UUID, float] = {}
        self._reported: dict[UUID, tuple[float, int]] = {}
        self._open: dict[UUID, tuple[UUID, datetime | None]] | None = None
        self._polled_at = 0.0
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="list-changes", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def join(self, tab: Tab) -> None:
        with self._lock:
            self._tabs.setdefault(tab.actor.user_id, set()).add(tab)
        self._wake.set()

    def leave(self, tab: Tab) -> None:
        with self._lock:
            tabs = self._tabs.get(tab.actor.user_id, set())
            tabs.discard(tab)
            if not tabs:
                self._tabs.pop(tab.actor.user_id, None)

    def changed(self, session_ids: Collection[UUID]) -> None:
        """These sessions have changed. Any thread may say so."""
        if self._tabs:
            with self._lock:
                self._fresh.update(session_ids)
            self._wake.set()

    def run_once(self) -> None:
        """Report the due changes; none without a tab. Raises OperationalError; unreported changes stay due."""
        with self._lock:
            owners, fresh = list(self._tabs), set(self._fresh)
        if not owners:
            self._fresh.clear()
            self._due.clear()
            self._open = None
            return
        with self._database.transaction() as conn:
            fresh |= self._polled(conn, owners)
            self._tell_requests(conn, fresh)
            for session_id in fresh:
                self._due.setdefault(session_id, self._reported.get(session_id, (0.0, 0))[0] + ROW_SECONDS)
            with self._lock:
                self._fresh -= fresh
            self._tell_rows(conn, owners)

    def _run(self) -> None:
        while not self._is_stopping:
            self._wake.wait(self._seconds_to_wait())
            self._wake.clear()
            try:
                self.run_once()
            except OperationalError:
                _log.warning("the database did not answer; changes of lists are reported later")
                time.sleep(POLL_SECONDS)
            except Exception:  # noqa: BLE001  the outermost loop of a thread that must not end
                _log.exception("changes of lists could not be reported")
                time.sleep(POLL_SECONDS)
            time.sleep(PAUSE_SECONDS)

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        return max(0.0, min([self._polled_at + POLL_SECONDS - now, *(at - now for at in self._due.values())]))

    def _polled(self, conn: Conn, owners: list[UUID]) -> set[UUID]:
        now = time.monotonic()
        if now < self._polled_at + POLL_SECONDS:
            return set()
        self._polled_at = now
        active = recently_active_sessions(conn, owners, seconds=POLLED_SECONDS)
        return {session_id for session_id, seq in active.items() if self._reported.get(session_id, (0.0, -1))[1] != seq}

    # Rows of lists

    def _tell_rows(self, conn: Conn, owners: list[UUID]) -> None:
        now = time.monotonic()
        due = [session_id for session_id, at in self._due.items() if at <= now]
        if not due:
            return
        for overview in rows_that_load(
            conn, due, lambda ids: overviews_of_owners(conn, ids, owners), event=ROW_LEFT_OUT, name="sessionId"
        ):
            self._remember(overview.id, now, overview.last_seq)
            with isolated(ROW_LEFT_OUT, sessionId=overview.id):
                self._send(overview.owner_id, frame_of(SessionFrame(**dict(session_answer(overview)))))
        for deleted in deleted_sessions_of_owners(conn, due, owners):
            self._send(deleted.owner_id, frame_of(SessionDeletedFrame(session_id=deleted.session_id)))
        for session_id in due:
            del self._due[session_id]

    def _remember(self, session_id: UUID, now: float, seq: int) -> None:
        if len(self._reported) >= MOST_REMEMBERED:
            self._reported = {
                session_id: report for session_id, report in self._reported.items() if report[0] > now - POLLED_SECONDS
            }
        self._reported[session_id] = (now, seq)

    def _send(self, user_id: UUID, frame: bytes) -> None:
        def send() -> None:
            with self._lock:
                tabs = list(self._tabs.get(user_id, ()))
            for tab in tabs:
                tab.send(frame)

        self._hub.call(send)

    # Requests

    def _tell_requests(self, conn: Conn, fresh: set[UUID]) -> None:
        """Tell of requests that opened, were escalated, or wait no longer. The first call learns which are open."""
        if self._open is None:
            self._open = {request.id: (request.session_id, request.escalated_at) for request in open_requests(conn)}
            return
        if not fresh:
            return
        for request in self._changed_requests(conn, fresh):
            state = (request.session_id, request.escalated_at)
            if request.status != "open":
                self._open.pop(request.id, None)
            elif self._open.get(request.id) == state:
                continue
            else:
                self._open[request.id] = state
            with isolated(REQUEST_LEFT_OUT, requestId=request.id):
                self._tell_request(request)

    def _changed_requests(self, conn: Conn, fresh: set[UUID]) -> list[ShownRequest]:
        known: dict[UUID, list[UUID]] = {session_id: [] for session_id in fresh}
        for request_id, (session_id, _) in (self._open or {}).items():
            if session_id in known:
                known[session_id].append(request_id)

        def read(session_ids: Sequence[UUID]) -> list[ShownRequest]:
            open_here = [request_id for session_id in session_ids for request_id in known[session_id]]
            return changed_requests(conn, session_ids=session_ids, known_open=open_here)

        return rows_that_load(conn, list(fresh), read, event=REQUEST_LEFT_OUT, name="sessionId")

    def _tell_request(self, request: ShownRequest) -> None:
        with self._lock:
            tabs = [tab for tabs in self._tabs.values() for tab in tabs if _may_see(tab.actor, request)]
        for tab in tabs:
            frame = frame_of(
                RequestFrame(
                    session_id=request.session_id,
                    request_id=request.id,
                    status=request.status,
                    request=shown_request_answer(request, tab.actor),
                )
            )
            self._hub.call(partial(tab.send, frame))


def _may_see(actor: Actor, request: ShownRequest) -> bool:
    return "human_loop:read" in permissions_of(actor) and waits_for(actor, request)
