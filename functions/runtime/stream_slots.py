"""Limit the requests that hold a thread for long (WebSockets, SSE, waits) to a number of stream slots.

There are fewer slots than threads, so callbacks always get a thread. When the process stops, all wake-ups are set and
every stream ends by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from schema.errors import Unavailable


class StreamSlot:
    """A stream's slot. Releasing it twice is harmless."""

    def __init__(self, stream_slots: StreamSlots) -> None:
        self._stream_slots = stream_slots
        self.wake_up = threading.Event()

    def release(self) -> None:
        self._stream_slots.forget(self)


class StreamSlots:
    """The slots in use."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._slots: set[StreamSlot] = set()
        self._lock = threading.Lock()
        self.is_ending = False

    @property
    def taken(self) -> int:
        return len(self._slots)

    def take(self) -> StreamSlot:
        """Take a slot. Raises Unavailable when all are taken."""
        slot = StreamSlot(self)
        with self._lock:
            if self.is_ending:
                raise Unavailable("The server is restarting.", code="restarting")
            if len(self._slots) >= self._limit:
                raise Unavailable(
                    f"All {self._limit} streams of this server are taken. Try again shortly, or read pages of events.",
                    code="too_many_streams",
                )
            self._slots.add(slot)
        return slot

    @contextmanager
    def slot(self) -> Iterator[StreamSlot]:
        slot = self.take()
        try:
            yield slot
        finally:
            slot.release()

    def forget(self, slot: StreamSlot) -> None:
        with self._lock:
            self._slots.discard(slot)

    def end_all(self) -> None:
        """End every stream now; refuse new ones."""
        with self._lock:
            self.is_ending = True
            slots = list(self._slots)
        for slot in slots:
            slot.wake_up.set()
