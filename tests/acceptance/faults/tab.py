"""A reader that comes back with its cursor, as a browser's tab does."""

from __future__ import annotations

import threading

from tests.acceptance.talk import Json, Talk
from tests.acceptance.waiting import wait_until
from tests.checker import Reading


class ReaderThread:
    """One tab: follows a session by WebSocket, comes back with its cursor whenever it is cut off."""

    def __init__(self, talk: Talk, session_id: str, *, after: int = 0, by: str = "session") -> None:
        self.session_id = session_id
        self.after = after
        self.events: list[Json] = []
        self._talk, self._by = talk, by
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def cursor(self) -> int:
        return int(self.events[-1]["seq"]) if self.events else self.after

    def has(self, type_: str) -> bool:
        return any(event["type"] == type_ for event in self.events)

    def read_up_to(self, seq: int) -> None:
        wait_until(lambda: self.cursor >= seq, seconds=60, what=lambda: f"the reader is at {self.cursor} of {seq}")

    def reading(self) -> Reading:
        """What it was given so far."""
        return Reading(self.session_id, self.after, list(self.events))

    def end(self) -> None:
        self._over.set()

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                with self._talk.following(self.session_id, after=self.cursor, by=self._by) as events:
                    for event in events:
                        self.events.append(event)
                        if self._over.is_set():
                            return
            except Exception:  # noqa: BLE001  a browser comes back whatever it was that cut it off
                self._over.wait(0.05)
