"""Touch a file while the job worker is at work, so that a supervisor notices a frozen one and restarts it.

The file stays untouched when the whole process stands still, and when the loop that takes jobs does.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BEAT_SECONDS = 2.0
LOOP_SECONDS = 10.0


class Heartbeat:
    """Without a file it does nothing. `beat_with_loop` adds the condition that the event loop turns."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._closing = threading.Event()
        self._looped_at: float | None = None

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Touch the file every BEAT_SECONDS until the block ends."""
        if self._file is None:
            yield
            return
        threading.Thread(target=self._beat, args=(self._file,), name="heartbeat", daemon=True).start()
        try:
            yield
        finally:
            self._closing.set()

    async def beat_with_loop(self) -> None:
        """Run beside the loop's work: from now on the file is touched only while the loop turns."""
        try:
            while True:
                self._looped_at = time.monotonic()
                await asyncio.sleep(BEAT_SECONDS / 2)
        finally:
            self._looped_at = None

    def _beat(self, file: Path) -> None:
        while not self._closing.is_set():
            if self._looped_at is None or time.monotonic() - self._looped_at < LOOP_SECONDS:
                with suppress(OSError):  # a full or missing disk is told elsewhere
                    touch(file)
            self._closing.wait(BEAT_SECONDS)


def touch(file: Path) -> None:
    file.touch(mode=0o600)
    os.utime(file)
