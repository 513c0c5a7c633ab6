"""Who reads which session now, in this process and in others. Only the hub's thread touches it, but for `present`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from functions.runtime.socket_hub import SocketHub
from functions.runtime.socket_peer import SocketPeer
from functions.sessions.socket_frames import PresenceFrame, PresentUser, frame_of
from handlers.access.permissions import Actor
from handlers.sessions.presence import PresentReader

Elsewhere = Mapping[UUID, frozenset[PresentUser]]


@dataclass
class _Room:
    """A session's readers here by their ids, its readers in other processes, and the peers that get presence.

    `tabs` are counted, because a user may have several. A user whose name changed has the newest one in `names`.
    """

    tabs: Counter[UUID] = field(default_factory=Counter)
    names: dict[UUID, str] = field(default_factory=dict)
    elsewhere: frozenset[PresentUser] = frozenset()
    listeners: list[SocketPeer] = field(default_factory=list)

    @property
    def shown(self) -> set[PresentUser]:
        here = {PresentUser(user_id=user_id, name=name) for user_id, name in self.names.items()}
        return here | {user for user in self.elsewhere if user.user_id not in self.names}


class PresentReaders:
    def __init__(self, hub: SocketHub) -> None:
        self._hub = hub
        self._rooms: dict[UUID, _Room] = {}
        self._present: set[PresentReader] = set()
        self._lock = threading.Lock()

    def enter(self, session_id: UUID, actor: Actor, peer: SocketPeer, *, gets_presence: bool) -> None:
        """Send the presence to all listeners when the user is new in the room, else only to the peer."""
        room = self._rooms.setdefault(session_id, _Room())
        before = room.shown
        room.tabs[actor.user_id] += 1
        room.names[actor.user_id] = actor.name
        self._mark(session_id, actor.user_id, is_present=True)
        if gets_presence:
            room.listeners.append(peer)
        self._send(session_id, room, room.listeners if room.shown != before else [peer] if gets_presence else [])

    def leave(self, session_id: UUID, actor: Actor, peer: SocketPeer) -> None:
        room = self._rooms[session_id]
        before = room.shown
        room.tabs[actor.user_id] -= 1
        if peer in room.listeners:
            room.listeners.remove(peer)
        if room.tabs[actor.user_id] == 0:
            del room.tabs[actor.user_id], room.names[actor.user_id]
            self._mark(session_id, actor.user_id, is_present=False)
        if room.shown != before:
            self._send(session_id, room, room.listeners)
        if not room.tabs:
            self._rooms.pop(session_id, None)

    def show_elsewhere(self, elsewhere: Elsewhere) -> None:
        """Show who reads the rooms' sessions in other processes; no other user does."""
        for session_id, room in list(self._rooms.items()):  # a peer that is too slow leaves its room meanwhile
            before, room.elsewhere = room.shown, elsewhere.get(session_id, frozenset())
            if room.shown != before:
                self._send(session_id, room, room.listeners)

    def present(self) -> set[PresentReader]:
        """Return who reads in this process. Any thread may ask."""
        with self._lock:
            return set(self._present)

    def _mark(self, session_id: UUID, user_id: UUID, *, is_present: bool) -> None:
        with self._lock:
            (self._present.add if is_present else self._present.discard)((session_id, user_id))

    def _send(self, session_id: UUID, room: _Room, peers: list[SocketPeer]) -> None:
        if peers:
            users = sorted(room.shown, key=lambda user: (user.name, str(user.user_id)))
            frame = frame_of(PresenceFrame(session_id=session_id, users=users))
            for peer in list(peers):
                self._hub.guard(peer, partial(self._hub.send_message, frame=frame))
