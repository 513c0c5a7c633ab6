"""Hold this process's live WebSockets in one thread with a selector of its own: no peer costs a thread.

The thread never queries and never waits for a peer. Others hand it sockets and calls; it runs calls in their order.
"""

from __future__ import annotations

import heapq
import itertools
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog

from functions.runtime.socket_peer import PING, LogCursor, PeerOwner, SocketPeer, text_frame
from functions.runtime.stream_slots import SocketSlot, UserShares
from schema.errors import Unavailable

READ_BYTES = 65_536
SWEEP_SECONDS = 0.5
PING_SECONDS = 20.0
PATIENCE_SECONDS = 5.0
GOODBYE_SECONDS = 1.0
STOPPING_SECONDS = 3.0
LEAST_RETRY_MS, LONGEST_RETRY_MS, RETRY_MS_PER_PEER = 1_000, 15_000, 3
SLOW_READER, LOGIN_EXPIRED, FORBIDDEN, RESTART, FAILED = 4008, 4401, 4403, 1012, 1011
_log = structlog.get_logger("functions.runtime.socket_hub")


class SocketHub:
    """The peers. Methods below "In the hub's thread" are called there only, by owners and through `call`."""

    def __init__(
        self,
        *,
        most: int,
        of_users: UserShares | None = None,
        ping_seconds: float = PING_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._most = most
        self._of_users = of_users or UserShares()
        self._ping_seconds = ping_seconds
        self._patience = patience
        self._slots: set[SocketSlot] = set()
        self._lock = threading.Lock()
        self._peers: dict[SocketPeer, SocketSlot] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._is_woken = False
        self._stop_at: float | None = None
        self._swept_at = 0.0
        self._thread: threading.Thread | None = None
        self.is_ending = False

    @property
    def taken(self) -> int:
        return len(self._slots)

    def start(self) -> None:
        """Start the thread; call it after fork."""
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.settimeout(0)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="socket-hub", daemon=True)
        self._thread.start()

    def end_all(self) -> None:
        """Tell every peer to come back later and how much later; refuse new peers."""
        with self._lock:
            if self.is_ending:
                return
            self.is_ending = True
        if self._thread is not None:
            self.call(self._end_peers)

    def stop(self) -> None:
        """End all and wait until the peers have read it, at most STOPPING_SECONDS."""
        self.end_all()
        if self._thread is not None:
            self._thread.join(STOPPING_SECONDS + 2)
            self._thread = None

    def take_slot(self, user_id: UUID | None = None) -> SocketSlot:
        """Take a slot for a socket of this user. Raises Unavailable when all are taken or the server restarts, and
        ShareUsedUp when the user has enough."""
        slot = SocketSlot(self.forget_slot, user_id)
        with self._lock:
            if self.is_ending or self._thread is None:
                raise Unavailable("The server is restarting.", code="restarting")
            if len(self._slots) >= self._most:
                raise Unavailable(
                    f"All {self._most} WebSockets of this server are taken. Try again shortly.",
                    code="too_many_sockets",
                )
            self._of_users.take(user_id)
            self._slots.add(slot)
        return slot

    def forget_slot(self, slot: SocketSlot) -> None:
        with self._lock:
            if slot in self._slots:
                self._slots.remove(slot)
                self._of_users.give_back(slot.user_id)

    def call(self, do: Callable[[], None]) -> None:
        """Have the hub's thread do this, after all earlier calls."""
        self._calls.append(do)
        if not self._is_woken:
            self._is_woken = True
            with suppress(OSError):  # a full pipe wakes it too
                self._waker.send(b"\0")

    # In the hub's thread

    def adopt(self, sock: socket.socket, owner: PeerOwner, slot: SocketSlot) -> SocketPeer | None:
        """Own a socket whose handshake is done. Returns None when the peer has gone already."""
        sock.settimeout(0)
        peer = SocketPeer(sock, owner, time.monotonic())
        try:
            self._selector.register(sock, selectors.EVENT_READ, peer)
        except (OSError, ValueError):
            sock.close()
            slot.release()
            return None
        self._peers[peer] = slot
        return peer

    def feed(self, peer: SocketPeer, received: bytes) -> None:
        """Read what was received before the socket was adopted."""
        if received and not peer.is_gone:
            self._take(peer, received)

    def send(self, peer: SocketPeer, data: bytes, cursor: LogCursor | None = None, seq: int = 0) -> None:
        """Send whole frames; what the peer does not take at once waits in its buffer."""
        if not peer.is_gone:
            peer.queue(data, cursor, seq)
            if not peer.is_writing:
                self._flush(peer)

    def send_message(self, peer: SocketPeer, frame: bytes) -> None:
        """Send a frame that is in no log. A peer whose buffer has no space for it is too slow."""
        if peer.has_space_for(len(frame)):
            self.send(peer, frame)
        else:
            self.close(peer, SLOW_READER, "the reader is too slow")

    def close(self, peer: SocketPeer, code: int, reason: str, *, retry_after_ms: int | None = None) -> None:
        """Say goodbye and close. A slow reader gets the message without what waits before it."""
        if peer.is_gone:
            return
        if code == SLOW_READER:
            peer.drop_unsent()
        seconds = STOPPING_SECONDS if code == RESTART else GOODBYE_SECONDS
        peer.queue(text_frame(peer.owner.farewell(code, reason, retry_after_ms)))
        peer.say_close(code, reason)
        self._part(peer, seconds)
        self._flush(peer)

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Do this after so many seconds, to half a second."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._timer_numbers), do))

    def _run(self) -> None:
        while self._stop_at is None or (self._peers and time.monotonic() < self._stop_at):
            for key, events in self._selector.select(SWEEP_SECONDS):
                if key.data is None:
                    self._drain_wakes()
                else:
                    self.guard(key.data, lambda peer, events=events: self._serve(peer, events))  # type: ignore[misc]
            self._run_calls()
            if time.monotonic() >= self._swept_at + SWEEP_SECONDS:
                self._sweep()
        for peer in list(self._peers):
            self._drop(peer)
        self._selector.close()
        for end in (self._waker, self._woken):
            end.close()

    def guard(self, peer: SocketPeer, do: Callable[[SocketPeer], None]) -> None:
        """Drop the peer when this fails: a fault with one peer neither ends the thread nor leaves out others."""
        try:
            do(peer)
        except Exception:  # noqa: BLE001  the thread must not end
            _log.exception("a socket was dropped")
            self._drop(peer)

    def _drain_wakes(self) -> None:
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def _run_calls(self) -> None:
        self._is_woken = False  # before the calls are taken: a later one wakes again
        for _ in range(len(self._calls)):
            self._do(self._calls.popleft())
        if self._calls:
            self.call(lambda: None)

    def _do(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception:  # noqa: BLE001  the outermost loop of a thread that must not end
            _log.exception("a call of the socket hub failed")

    def _serve(self, peer: SocketPeer, events: int) -> None:
        if peer not in self._peers:  # dropped earlier in this turn of the loop
            return
        if events & selectors.EVENT_WRITE:
            self._flush(peer)
        if events & selectors.EVENT_READ and peer in self._peers:
            self._read(peer)

    def _read(self, peer: SocketPeer) -> None:
        try:
            received = peer.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if received:
            self._take(peer, received)
        else:
            self._drop(peer)

    def _take(self, peer: SocketPeer, received: bytes) -> None:
        peer.heard_at = time.monotonic()
        for text in peer.receive(received):
            if not peer.is_gone:
                peer.owner.on_text(peer, text)
        if peer not in self._peers:
            return
        if peer.is_closing and not peer.is_gone:
            self._part(peer, GOODBYE_SECONDS)
        if peer.protocol.close_rcvd is not None and not peer.chunks:
            self._drop(peer)
        elif peer.chunks and not peer.is_writing:
            if not peer.has_space_for(0):
                self.close(peer, SLOW_READER, "the reader is too slow")
            self._flush(peer)

    def _flush(self, peer: SocketPeer) -> None:
        try:
            peer.send_some(time.monotonic())
        except (BlockingIOError, InterruptedError):
            self._want_to_write(peer, wanted=True)
        except OSError:
            self._drop(peer)
            return
        else:
            self._want_to_write(peer, wanted=False)
        if peer.waits_for_room and peer.has_room and not peer.is_gone:
            peer.waits_for_room = False
            peer.owner.on_room(peer)
        if peer.protocol.close_rcvd is not None and not peer.chunks:
            self._drop(peer)

    def _want_to_write(self, peer: SocketPeer, *, wanted: bool) -> None:
        if wanted != peer.is_writing and peer in self._peers:
            peer.is_writing = wanted
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
            self._selector.modify(peer.sock, events, peer)

    def _part(self, peer: SocketPeer, seconds: float) -> None:
        peer.parting_until = time.monotonic() + seconds
        peer.owner.on_gone(peer)

    def _drop(self, peer: SocketPeer) -> None:
        slot = self._peers.pop(peer, None)
        if slot is None:
            return
        slot.release()
        if not peer.is_gone:
            self._do(lambda: self._part(peer, 0.0))
        with suppress(KeyError, ValueError, OSError):
            self._selector.unregister(peer.sock)
        with suppress(OSError):
            peer.sock.shutdown(socket.SHUT_RDWR)
        peer.sock.close()

    def _sweep(self) -> None:
        """Ping who was silent for long, end who is too slow or does not answer, run due timers."""
        now = self._swept_at = time.monotonic()
        for peer in list(self._peers):
            self.guard(peer, partial(self._sweep_peer, now))
        while self._timers and self._timers[0][0] <= now:
            self._do(heapq.heappop(self._timers)[2])

    def _sweep_peer(self, now: float, peer: SocketPeer) -> None:
        if peer.parting_until is not None:
            if now >= peer.parting_until:
                self._drop(peer)
        elif peer.is_too_slow(now, patience=self._patience):
            self.close(peer, SLOW_READER, "the reader is too slow")
        elif now >= peer.pinged_at + self._ping_seconds:
            self._ping(peer, now)

    def _ping(self, peer: SocketPeer, now: float) -> None:
        """The first ping comes `ping_seconds` after the handshake; who was silent since the one before has gone."""
        has_answered = peer.heard_at >= peer.pinged_at
        peer.pinged_at = now
        if has_answered:
            self.send(peer, PING)
        else:
            self._drop(peer)

    def _end_peers(self) -> None:
        """The more peers there are, the longer the time over which they come back."""
        spread = min(LONGEST_RETRY_MS, LEAST_RETRY_MS + RETRY_MS_PER_PEER * len(self._peers))
        for peer in list(self._peers):
            wait = random.randint(0, spread)  # noqa: S311
            self.guard(peer, partial(self.close, code=RESTART, reason="the server restarts", retry_after_ms=wait))
        self._stop_at = time.monotonic() + STOPPING_SECONDS
