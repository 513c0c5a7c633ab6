"""Exchange JSON lines with the executor on standard input and output, from the snapshotter's side.

In: the order, then `{"links": {"PUT key": address}}`. Out: `{"wants": [...]}` (all links that it waits for now),
`{"progress": {...}}`, `{"homeRead": true}`, and last `{"done": receipt}` or `{"failed": {"code", "error"}}`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any, Literal

from schema.errors import RunyardError

PROGRESS_SECONDS = 0.2
Method = Literal["GET", "PUT"]
ProgressStep = Literal["scanning", "uploading", "downloading", "writing"]


class SnapshotterFailed(RunyardError):
    """The snapshotter could not save or restore the workspace."""

    code = "saving_failed"


class ExecutorChannel:
    """Connect the snapshotter to its executor. Any thread may call `link`. When the executor closes the pipe, the
    process ends."""

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._wanted: dict[str, dict[str, Any]] = {}
        self._links: dict[str, str] = {}
        self._progress: dict[str, Any] = {"step": "waiting", "files": 0, "bytes": 0}
        self._sent_at = 0.0

    def order(self) -> dict[str, Any]:
        """Return the order, and start listening for links."""
        line = sys.stdin.buffer.readline()
        if not line:
            os._exit(1)
        threading.Thread(target=self._listen, daemon=True).start()
        order: dict[str, Any] = json.loads(line)
        return order

    def link(self, method: Method, key: str, *, size: int | None, md5: str | None = None) -> str:
        """Wait for a pre-signed link to this object. Each link is used once.

        `size` in bytes and `md5` (base64) are those of an upload, which the link is then good for alone.
        """
        name = f"{method} {key}"
        about = {"method": method, "key": key, "size": size, "md5": md5}
        with self._changed:
            self._wanted[name] = {field: value for field, value in about.items() if value is not None}
            self._send_wants()
            while name not in self._links:
                self._changed.wait()
            return self._links.pop(name)

    def progress(self, step: ProgressStep, **counts: int | None) -> None:
        """Report progress: a new step at once, anything else at most every PROGRESS_SECONDS."""
        is_new = step != self._progress["step"]
        self._progress.update(step=step, **counts)
        if is_new or time.monotonic() - self._sent_at > PROGRESS_SECONDS:
            self._sent_at = time.monotonic()
            self.send("progress", self._progress)

    def add(self, *, files: int = 0, amount: int = 0) -> None:
        """Count more files and bytes as done."""
        with self._writing:
            self._progress["files"] += files
            self._progress["bytes"] += amount
        self.progress(self._progress["step"])

    def send(self, what: str, value: object) -> None:
        """Send one line to the executor."""
        line = json.dumps({what: value}, separators=(",", ":")).encode() + b"\n"
        with self._writing:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            with self._changed:
                for name, address in json.loads(line)["links"].items():
                    if self._wanted.pop(name, None) is not None:
                        self._links[name] = address
                self._send_wants()
                self._changed.notify_all()
        os._exit(1)

    def _send_wants(self) -> None:
        self.send("wants", list(self._wanted.values()))
