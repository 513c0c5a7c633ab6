"""One peer's reading of one session: its place in the feed, its access, and its presence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from functions.events.follow import refuse_cursor_ahead
from functions.events.session_feeds import SessionFeeds
from functions.runtime.access_watch import AccessWatch
from functions.runtime.process import ApiProcess
from functions.runtime.socket_hub import FORBIDDEN, LOGIN_EXPIRED, SocketHub
from functions.runtime.socket_peer import SocketPeer, text_frame
from functions.sessions.presence import PresentReaders
from functions.sessions.session_snapshot import ITEMS, session_snapshot
from functions.sessions.socket_frames import json_of
from handlers.access.open_streams import OpenStream
from handlers.access.permissions import Actor, session_for
from schema.errors import RunyardError, Unauthenticated

EXPIRED = "the login has expired"
HIDDEN = "the session may not be read any more"


@dataclass(frozen=True)
class Beginning:
    """The first page of a reader: a snapshot, or only the events after its cursor. The log ended at `last_seq`."""

    session_id: UUID
    snapshot: bytes | None
    after: int
    last_seq: int


@dataclass(frozen=True)
class LiveParts:
    """The parts that all sockets share."""

    process: ApiProcess
    hub: SocketHub
    feeds: SessionFeeds
    presence: PresentReaders
    access: AccessWatch


def read_beginning(
    process: ApiProcess, actor: Actor, session_id: UUID, *, after: int | None, items: int = ITEMS
) -> Beginning:
    """Check and read; a snapshot has so many items of the transcript at most.

    Raises NotFound for a session hidden from the actor, Conflict for a cursor beyond its end.
    """
    with process.transaction(snapshot=True) as conn:
        if after is None:
            frame = session_snapshot(conn, actor, session_id, limits=process.settings.life_limits, items=items)
            return Beginning(session_id, json_of(frame), frame.seq, frame.seq)
        last_seq = session_for(conn, actor, session_id).last_seq
        refuse_cursor_ahead(last_seq, after)
        return Beginning(session_id, None, after, last_seq)


class SessionReading:
    """Made and ended in the hub's thread. `lost` is called there when the reader loses the session or the login."""

    def __init__(
        self,
        parts: LiveParts,
        peer: SocketPeer,
        actor: Actor,
        begin: Beginning,
        *,
        lost: Callable[[int, str], None],
        gets_presence: bool,
    ) -> None:
        self._parts, self._peer, self._actor, self._lost = parts, peer, actor, lost
        self.session_id = begin.session_id
        self._is_over = False
        if begin.snapshot is not None:
            parts.hub.send(peer, text_frame(begin.snapshot))
        parts.presence.enter(self.session_id, actor, peer, gets_presence=gets_presence)
        self._subscription = parts.feeds.subscribe(
            peer, self.session_id, user_id=actor.user_id, after=begin.after, last_seq=begin.last_seq
        )
        self._watched = (
            parts.access.watch(OpenStream(actor.credential_id, self.session_id), self._tell)
            if actor.credential_id
            else None
        )

    @property
    def seq(self) -> int:
        """The last event that the peer gets before whatever is sent to it next."""
        return self._subscription.queued

    def go_on(self) -> None:
        self._parts.feeds.go_on(self._subscription)

    def end(self) -> None:
        """Safe to repeat."""
        if self._is_over:
            return
        self._is_over = True
        if self._watched is not None:
            self._parts.access.forget(self._watched)
        self._parts.feeds.end(self._subscription)
        self._parts.presence.leave(self.session_id, self._actor, self._peer)

    def _tell(self, fault: RunyardError) -> None:
        """Called in the access watch's thread."""
        self._parts.hub.call(lambda: self._lost(*closing_of(fault)))


def closing_of(fault: RunyardError) -> tuple[int, str]:
    return (LOGIN_EXPIRED, EXPIRED) if isinstance(fault, Unauthenticated) else (FORBIDDEN, HIDDEN)
