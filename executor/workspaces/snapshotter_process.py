"""Run the snapshotter: a child process that receives an order, asks for links, and ends."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from executor.process.account import AgentAccount
from schema.wire import Json

CODE = Path(__file__).parents[2]
INDEX = "scan.index"
INHERITED = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
LINE_BYTES = 64 << 20

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class SnapshotterResult:
    """Hold the `receipt` of a finished operation, or the `code` and `error` of a failed one."""

    receipt: Json | None = None
    code: str = "engine_died"
    error: str = "The snapshotter died before it finished. Save or restore again."


class SnapshotterProcess:
    """Run one snapshotter once. `on_line` receives each line that precedes the result."""

    def __init__(
        self, *, state_dir: Path, account: AgentAccount, on_line: Callable[[str, Json | list[Json]], None]
    ) -> None:
        self._state_dir = state_dir
        self._account = account
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._index_read: int | None = None

    async def run(self, order: Json, *, file: int | None = None) -> SnapshotterResult:
        """Carry out the order and return its result. Close `file`, which the snapshotter inherits for a kept end.

        The snapshotter inherits the last scan's index as a descriptor, because the agent's account cannot read its
        folder. The new index replaces it after success, unless another snapshotter has done so meanwhile.
        """
        new = self._state_dir / f"{INDEX}.{'new' if order['kind'] != 'keep_end' else 'kept'}"
        index_in = _open_if_present(self._state_dir / INDEX)
        self._index_read = None if index_in is None else os.fstat(index_in).st_ino
        index_out = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        inherited = [descriptor for descriptor in (index_in, index_out, file) if descriptor is not None]
        try:
            process = self._process = await self._start(inherited)
        finally:
            for descriptor in inherited:
                os.close(descriptor)
        from executor.process.leftovers import helpers

        helpers.add(process.pid)
        try:
            self._write({**order, "indexIn": index_in, "indexOut": index_out, "file": file})
            result = await self._listen(process, new)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            helpers.discard(process.pid)
            new.unlink(missing_ok=True)
        return result

    def give_links(self, links: dict[str, str]) -> None:
        """Send pre-signed links to the snapshotter, by "METHOD key"."""
        self._write({"links": links})

    def kill(self) -> None:
        """Kill the snapshotter if it is running."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _start(self, inherited: list[int]) -> asyncio.subprocess.Process:
        environment = {
            name: os.environ[name] for name in ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-X", "utf8", "-m", "executor.snapshotter"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={**environment, "PYTHONPATH": str(CODE), "PYTHONDONTWRITEBYTECODE": "1"},
            pass_fds=inherited,
            limit=LINE_BYTES,
            **self._account.of_children(),
        )

    async def _listen(self, process: asyncio.subprocess.Process, new_index: Path) -> SnapshotterResult:
        assert process.stdout is not None
        async for line in process.stdout:
            [(kind, value)] = json.loads(line).items()
            if kind == "done":
                if value["hasIndex"] and self._is_index_as_read():
                    new_index.replace(self._state_dir / INDEX)
                return SnapshotterResult(receipt=value["receipt"])
            if kind == "failed":
                return SnapshotterResult(code=value["code"], error=value["error"])
            self._on_line(kind, value)
        _log.warning("snapshotter.died", status=await process.wait())
        return SnapshotterResult()

    def _is_index_as_read(self) -> bool:
        try:
            return (self._state_dir / INDEX).stat().st_ino == self._index_read
        except FileNotFoundError:
            return self._index_read is None

    def _write(self, message: Json) -> None:
        """Send a message. A snapshotter that has just died loses it, and its result says so."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _open_if_present(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
