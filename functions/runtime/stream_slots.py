"""Limit the requests that hold a thread for long (SSE, waits, downloads) to a number of stream slots, and what one user
holds of this process.

There are fewer slots than threads, so callbacks always get a thread. When the process stops, all wake-ups are set and
every stream ends by itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from schema.errors import Unavailable
from schema.shares import Share, ShareUsedUp

NO_SHARE = Share(name="all", what="of all", most=0)


class UserShares:
    """Count each user's use of one share in this process. Threads may call it at once."""

    def __init__(self, share: Share = NO_SHARE) -> None:
        self._share = share
        self._held: Counter[UUID] = Counter()
        self._lock = threading.Lock()

    def take(self, user_id: UUID | None) -> None:
        """Count one more for the user; None is nobody. Raises ShareUsedUp, and then counts nothing."""
        if user_id is None or self._share.most == 0:
            return
        with self._lock:
            if self._held[user_id] >= self._share.most:
                raise ShareUsedUp(self._share)
            self._held[user_id] += 1

    def give_back(self, user_id: UUID | None) -> None:
        """Count one less. Call it once for each `take`."""
        if user_id is None or self._share.most == 0:
            return
        with self._lock:
            self._held[user_id] -= 1
            if self._held[user_id] <= 0:
                del self._held[user_id]

    def held_by(self, user_id: UUID) -> int:
        return self._held.get(user_id, 0)


class StreamSlot:
    """A stream's slot. Releasing it twice is harmless."""

    def __init__(self, stream_slots: StreamSlots, user_id: UUID | None) -> None:
        self._stream_slots = stream_slots
        self.user_id = user_id
        self.wake_up = threading.Event()

    def release(self) -> None:
        self._stream_slots.forget(self)


class SocketSlot:
    """A user's right to one WebSocket. Releasing it twice is harmless."""

    def __init__(self, forget: Callable[[SocketSlot], None], user_id: UUID | None) -> None:
        self._forget = forget
        self.user_id = user_id

    def release(self) -> None:
        self._forget(self)


class StreamSlots:
    """The slots in use."""

    def __init__(self, limit: int, of_users: UserShares | None = None) -> None:
        self._limit = limit
        self._of_users = of_users or UserShares()
        self._slots: set[StreamSlot] = set()
        self._lock = threading.Lock()
        self.is_ending = False

    @property
    def taken(self) -> int:
        return len(self._slots)

    def take(self, user_id: UUID | None = None) -> StreamSlot:
        """Take a slot for this user. Raises Unavailable when all are taken, ShareUsedUp when the user has enough."""
        slot = StreamSlot(self, user_id)
        with self._lock:
            if self.is_ending:
                raise Unavailable("The server is restarting.", code="restarting")
            if len(self._slots) >= self._limit:
                raise Unavailable(
                    f"All {self._limit} streams of this server are taken. Try again shortly, or read pages of events.",
                    code="too_many_streams",
                )
            self._of_users.take(user_id)
            self._slots.add(slot)
        return slot

    @contextmanager
    def slot(self, user_id: UUID | None = None) -> Iterator[StreamSlot]:
        slot = self.take(user_id)
        try:
            yield slot
        finally:
            slot.release()

    def forget(self, slot: StreamSlot) -> None:
        with self._lock:
            if slot in self._slots:
                self._slots.remove(slot)
                self._of_users.give_back(slot.user_id)

    def end_all(self) -> None:
        """End every stream now; refuse new ones."""
        with self._lock:
            self.is_ending = True
            slots = list(self._slots)
        for slot in slots:
            slot.wake_up.set()
