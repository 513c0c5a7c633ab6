"""Limit the requests that hold a thread for long (WebSockets, SSE, waits) to a number of stream slots.

There are fewer slots than threads, so callbacks always get a thread. When the process stops, all bells ring and every
stream ends by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from schema.errors import Unavailable


class StreamSlot:
    """A stream's slot. Releasing it twice is harmless."""

    def __init__(self, streams: StreamSlots) -> None:
        self._streams = streams
        self.bell = threading.Event()

    def leave(self) -> None:
        self._streams.forget(self)


class StreamSlots:
    """The slots in use."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places: set[StreamSlot] = set()
        self._lock = threading.Lock()
        self.is_ending = False

    @property
    def taken(self) -> int:
        return len(self._places)

    def take(self) -> StreamSlot:
        """Take a slot. Raises Unavailable when all are taken."""
        place = StreamSlot(self)
        with self._lock:
            if self.is_ending:
                raise Unavailable("The server is restarting.", code="restarting")
            if len(self._places) >= self._limit:
                raise Unavailable(
                    f"All {self._limit} streams of this server are taken. Try again shortly, or read pages of events.",
                    code="too_many_streams",
                )
            self._places.add(place)
        return place

    @contextmanager
    def place(self) -> Iterator[StreamSlot]:
        place = self.take()
        try:
            yield place
        finally:
            place.leave()

    def forget(self, place: StreamSlot) -> None:
        with self._lock:
            self._places.discard(place)

    def end_all(self) -> None:
        """End every stream now; refuse new ones."""
        with self._lock:
            self.is_ending = True
            places = list(self._places)
        for place in places:
            place.bell.set()
