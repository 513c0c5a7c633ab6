"""The live sockets of one API process: the hub, what feeds it, and how a socket comes to it."""

from __future__ import annotations

from functools import partial

from flask import Flask, current_app

from functions.events.session_feeds import SessionFeeds
from functions.runtime.log_notifier import LogNotifier
from functions.runtime.process import ApiProcess
from functions.runtime.socket_hub import SocketHub
from functions.runtime.stream_slots import SocketSlot, UserShares
from functions.sessions.list_changes import ListChanges
from functions.sessions.presence import PresentReaders
from functions.sessions.presence_exchange import PresenceExchange
from functions.sessions.session_reading import Beginning, LiveParts
from functions.sessions.session_socket import SessionSocket
from functions.sessions.tab_socket import TabSocket
from functions.sessions.taken_socket import TakenSocket
from handlers.access.permissions import Actor
from schema.errors import Unavailable

NAME = "runyard-live-sockets"


class LiveSockets:
    """A ProcessPart of the process."""

    def __init__(self, process: ApiProcess, notifier: LogNotifier, *, version: str) -> None:
        self.hub = SocketHub(most=process.settings.api_sockets_max, of_users=UserShares(process.settings.socket_share))
        self._version = version
        self._feeds = SessionFeeds(self.hub, process.database, notifier)
        self._lists = ListChanges(self.hub, process.live)
        readers = PresentReaders(self.hub)
        self._presence = PresenceExchange(self.hub, readers, process.live)
        self._parts = LiveParts(process, self.hub, self._feeds, readers, process.access)
        notifier.observe(self._lists.changed)

    def start(self) -> None:
        self.hub.start()
        self._lists.start()
        self._presence.start()

    def end_all(self) -> None:
        self.hub.end_all()

    def stop(self) -> None:
        self.hub.stop()
        self._lists.stop()
        self._presence.stop()
        self._feeds.stop()

    def read_session(self, actor: Actor, begin: Beginning, taken: TakenSocket, slot: SocketSlot) -> None:
        """Serve the socket of one session."""
        owner = SessionSocket(self._parts, actor, begin)
        self.hub.call(partial(owner.begin, taken.sock, slot, taken.received))

    def open_tab(self, actor: Actor, taken: TakenSocket, slot: SocketSlot) -> None:
        """Serve the one socket of a tab."""
        owner = TabSocket(self._parts, self._lists, actor, self._version)
        self.hub.call(partial(owner.begin, taken.sock, slot, taken.received))


def hold_live_sockets(app: Flask, process: ApiProcess, *, version: str) -> None:
    """Give the process live sockets, unless it is a function, which lives too shortly."""
    if isinstance(process.notifier, LogNotifier):
        live = LiveSockets(process, process.notifier, version=version)
        app.extensions[NAME] = live
        process.parts.append(live)


def live_sockets() -> LiveSockets:
    """Return those of the process that serves this request. Raises Unavailable where there are none."""
    sockets: LiveSockets | None = current_app.extensions.get(NAME)
    if sockets is None:
        raise Unavailable("This server has no WebSockets.", code="no_websockets")
    return sockets
