"""Who reads which session now, in this process and in others. Only the hub's thread touches it, but for `present`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from functions.runtime.socket_hub import SocketHub
from functions.runtime.socket_peer import SocketPeer
from functions.sessions.socket_frames import PresenceFrame, PresentUser, frame_of
from handlers.access.permissions import Actor
from handlers.sessions.presence import PresentReader

Elsewhere = Mapping[UUID, frozenset[PresentUser]]


@dataclass
class _Room:
    """A session's readers here, counted because a user may have several tabs, its readers in other processes, and the
    peers that get presence."""

    users: Counter[PresentUser] = field(default_factory=Counter)
    elsewhere: frozenset[PresentUser] = frozenset()
    listeners: list[SocketPeer] = field(default_factory=list)

    @property
    def shown(self) -> set[PresentUser]:
        return {*self.users, *self.elsewhere}


class PresentReaders:
    def __init__(self, hub: SocketHub) -> None:
        self._hub = hub
        self._rooms: dict[UUID, _Room] = {}
        self._present: set[PresentReader] = set()
        self._lock = threading.Lock()

    def enter(self, session_id: UUID, actor: Actor, peer: SocketPeer, *, gets_presence: bool) -> None:
        """Send the presence to all listeners when the user is new in the room, else only to the peer."""
        room = self._rooms.setdefault(session_id, _Room())
        user = PresentUser(user_id=actor.user_id, name=actor.name)
        is_new = user not in room.shown
        room.users[user] += 1
        self._mark(session_id, user, is_present=True)
        if gets_presence:
            room.listeners.append(peer)
        self._send(session_id, room, room.listeners if is_new else [peer] if gets_presence else [])

    def leave(self, session_id: UUID, actor: Actor, peer: SocketPeer) -> None:
        room = self._rooms[session_id]
        user = PresentUser(user_id=actor.user_id, name=actor.name)
        room.users[user] -= 1
        if peer in room.listeners:
            room.listeners.remove(peer)
        if room.users[user] == 0:
            del room.users[user]
            self._mark(session_id, user, is_present=False)
            if user not in room.elsewhere:
                self._send(session_id, room, room.listeners)
        if not room.users:
            self._rooms.pop(session_id, None)

    def show_elsewhere(self, elsewhere: Elsewhere) -> None:
        """Show who reads the rooms' sessions in other processes; no other user does."""
        for session_id, room in self._rooms.items():
            before, room.elsewhere = room.shown, elsewhere.get(session_id, frozenset())
            if room.shown != before:
                self._send(session_id, room, room.listeners)

    def present(self) -> set[PresentReader]:
        """Return who reads in this process. Any thread may ask."""
        with self._lock:
            return set(self._present)

    def _mark(self, session_id: UUID, user: PresentUser, *, is_present: bool) -> None:
        with self._lock:
            (self._present.add if is_present else self._present.discard)((session_id, user.user_id))

    def _send(self, session_id: UUID, room: _Room, peers: list[SocketPeer]) -> None:
        if peers:
            users = sorted(room.shown, key=lambda user: (user.name, str(user.user_id)))
            frame = frame_of(PresenceFrame(session_id=session_id, users=users))
            for peer in list(peers):
                self._hub.send_message(peer, frame)
