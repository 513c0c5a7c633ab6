"""The one socket of a tab: the user's list and requests unasked, and the sessions that the tab subscribes to."""

from __future__ import annotations

import json
import socket
from functools import partial
from uuid import UUID

import structlog
from psycopg import OperationalError
from pydantic import ValidationError

from functions.runtime.socket_hub import LOGIN_EXPIRED
from functions.runtime.socket_peer import SocketPeer
from functions.runtime.stream_slots import SocketSlot
from functions.sessions.list_changes import ListChanges
from functions.sessions.session_reading import (
    Beginning,
    LiveParts,
    SessionReading,
    closing_of,
    read_beginning,
)
from functions.sessions.socket_frames import (
    PONG,
    ClosingFrame,
    ErrorFrame,
    HelloFrame,
    Subscribe,
    Unsubscribe,
    UnsubscribedFrame,
    frame_of,
    json_of,
)
from handlers.access.open_streams import OpenStream
from handlers.access.permissions import Actor
from schema.errors import RunyardError
from schema.wire import Json

MOST_SUBSCRIPTIONS = 200
_log = structlog.get_logger("functions.sessions.tab_socket")


class TabSocket:
    """Owns a peer of the hub. `_opening` has, by session, the newest subscription that is being read."""

    def __init__(self, parts: LiveParts, lists: ListChanges, actor: Actor, version: str) -> None:
        self._parts, self._lists, self._version = parts, lists, version
        self.actor = actor
        self._readings: dict[UUID, SessionReading] = {}
        self._opening: dict[UUID, object] = {}
        self._openings = 0
        self.peer: SocketPeer | None = None
        self._is_gone = False
        self._watched = (
            parts.access.watch(OpenStream(actor.credential_id, None), self._tell_lost) if actor.credential_id else None
        )

    def begin(self, sock: socket.socket, slot: SocketSlot, received: bytes) -> None:
        self.peer = self._parts.hub.adopt(sock, self, slot)
        if self.peer is None:
            self.on_gone(None)
            return
        self._parts.hub.send_message(self.peer, frame_of(HelloFrame(user_id=self.actor.user_id, version=self._version)))
        if not self._is_gone:
            self._lists.join(self)
        self._parts.hub.feed(self.peer, received)

    def send(self, frame: bytes) -> None:
        if self.peer is not None:
            self._parts.hub.send_message(self.peer, frame)

    # The hub calls these

    def on_text(self, peer: SocketPeer, text: str) -> None:  # noqa: ARG002  it is ours
        try:
            message = json.loads(text)
            kind = message.get("kind")
        except (ValueError, AttributeError, RecursionError):
            self._refuse("malformed", "A message is a JSON object with a kind.")
            return
        try:
            self._follow(kind, message)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            self._refuse("invalid_message", f"{kind}: {where}: {error.errors()[0]['msg']}.")

    def on_room(self, peer: SocketPeer) -> None:  # noqa: ARG002  it is ours
        for reading in self._readings.values():
            reading.go_on()

    def on_gone(self, peer: SocketPeer | None) -> None:  # noqa: ARG002  it is ours
        self._is_gone = True
        self._lists.leave(self)
        if self._watched is not None:
            self._parts.access.forget(self._watched)
        for reading in self._readings.values():
            reading.end()
        self._readings.clear()

    def farewell(self, code: int, reason: str, retry_after_ms: int | None) -> bytes:
        cursors = {session_id: reading.seq for session_id, reading in self._readings.items()}
        return json_of(ClosingFrame(code=code, reason=reason, cursors=cursors, retry_after_ms=retry_after_ms))

    # Requests of the tab

    def _follow(self, kind: object, message: Json) -> None:
        if kind == "ping":
            self.send(PONG)
        elif kind == "subscribe":
            self._subscribe(Subscribe.model_validate(message))
        elif kind == "unsubscribe":
            self._unsubscribe(Unsubscribe.model_validate(message).session_id)
        else:
            self._refuse("unknown_kind", "Known kinds are subscribe, unsubscribe and ping.")

    def _subscribe(self, wanted: Subscribe) -> None:
        """Begin anew at the given cursor, also where the tab reads the session already."""
        self._unsubscribe(wanted.session_id)
        if len(self._readings) + self._openings >= MOST_SUBSCRIPTIONS:
            self._refuse("too_many_subscriptions", f"A socket reads at most {MOST_SUBSCRIPTIONS} sessions.", wanted)
            return
        mine = self._opening[wanted.session_id] = object()
        self._openings += 1
        self._parts.feeds.apart(self.actor.user_id, partial(self._read, wanted, mine))

    def _unsubscribe(self, session_id: UUID) -> None:
        self._opening.pop(session_id, None)
        reading = self._readings.pop(session_id, None)
        if reading is not None:
            reading.end()

    def _read(self, wanted: Subscribe, mine: object) -> None:
        """In a reading thread."""
        begin: Beginning | ErrorFrame
        try:
            begin = read_beginning(
                self._parts.process, self.actor, wanted.session_id, after=wanted.after, items=wanted.transcript
            )
        except RunyardError as error:
            begin = ErrorFrame(code=error.problem_code, detail=str(error), session_id=wanted.session_id)
        except OperationalError:
            detail = "The database did not answer: subscribe again shortly."
            begin = ErrorFrame(code="database_unavailable", detail=detail, session_id=wanted.session_id)
        except Exception:  # noqa: BLE001  the outermost loop of a reader
            _log.exception("a subscription could not be read", sessionId=str(wanted.session_id))
            begin = ErrorFrame(code="internal", detail="Runyard failed.", session_id=wanted.session_id)
        self._parts.hub.call(partial(self._begin_reading, wanted.session_id, begin, mine))

    def _begin_reading(self, session_id: UUID, begin: Beginning | ErrorFrame, mine: object) -> None:
        self._openings -= 1
        if self._is_gone or self.peer is None or self._opening.get(session_id) is not mine:
            return
        del self._opening[session_id]
        if isinstance(begin, ErrorFrame):
            self.send(frame_of(begin))
            return
        reading = SessionReading(
            self._parts, self.peer, self.actor, begin, lost=partial(self._lose, session_id), gets_presence=True
        )
        if self.peer.is_gone:
            reading.end()
        else:
            self._readings[session_id] = reading

    def _refuse(self, code: str, detail: str, wanted: Subscribe | None = None) -> None:
        session_id = wanted.session_id if wanted else None
        self.send(frame_of(ErrorFrame(code=code, detail=detail, session_id=session_id)))

    # Lost subscriptions

    def _lose(self, session_id: UUID, code: int, reason: str) -> None:
        """A login that has ended closes the socket; a session that is gone ends its subscription alone."""
        reading = self._readings.get(session_id)
        if code == LOGIN_EXPIRED:
            self._close(code, reason)
        elif reading is not None:
            self.send(frame_of(UnsubscribedFrame(session_id=session_id, code=code, reason=reason, seq=reading.seq)))
            self._unsubscribe(session_id)

    def _tell_lost(self, fault: RunyardError) -> None:
        """Called in the access watch's thread."""
        self._parts.hub.call(lambda: self._close(*closing_of(fault)))

    def _close(self, code: int, reason: str) -> None:
        if self.peer is not None:
            self._parts.hub.close(self.peer, code, reason)
