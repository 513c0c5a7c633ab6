"""Who reads which session in this process now. Only the hub's thread touches it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from functions.runtime.socket_hub import SocketHub
from functions.runtime.socket_peer import SocketPeer
from functions.sessions.socket_frames import PresenceFrame, PresentUser, frame_of
from handlers.access.permissions import Actor


@dataclass
class _Room:
    """A session's readers, counted because a user may have several tabs, and the peers that get presence."""

    users: Counter[PresentUser] = field(default_factory=Counter)
    listeners: list[SocketPeer] = field(default_factory=list)


class PresentReaders:
    def __init__(self, hub: SocketHub) -> None:
        self._hub = hub
        self._rooms: dict[UUID, _Room] = {}

    def enter(self, session_id: UUID, actor: Actor, peer: SocketPeer, *, gets_presence: bool) -> None:
        """Send the presence to all listeners when the user is new in the room, else only to the peer."""
        room = self._rooms.setdefault(session_id, _Room())
        user = PresentUser(user_id=actor.user_id, name=actor.name)
        room.users[user] += 1
        if gets_presence:
            room.listeners.append(peer)
        self._send(session_id, room, room.listeners if room.users[user] == 1 else [peer] if gets_presence else [])

    def leave(self, session_id: UUID, actor: Actor, peer: SocketPeer) -> None:
        room = self._rooms[session_id]
        user = PresentUser(user_id=actor.user_id, name=actor.name)
        room.users[user] -= 1
        if peer in room.listeners:
            room.listeners.remove(peer)
        if room.users[user] == 0:
            del room.users[user]
            self._send(session_id, room, room.listeners)
        if not room.users:
            self._rooms.pop(session_id, None)

    def _send(self, session_id: UUID, room: _Room, peers: list[SocketPeer]) -> None:
        if peers:
            users = sorted(room.users, key=lambda user: user.name)
            frame = frame_of(PresenceFrame(session_id=session_id, users=users))
            for peer in list(peers):
                self._hub.send_message(peer, frame)
