"""A person at a terminal: a program on a pseudo-terminal, read and typed to."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.integration.cli.conditions import wait_for

CTRL_C = "\x03"
CTRL_D = "\x04"


class Terminal:
    """Starts the program; what it shows is kept in `shown`."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None) -> None:
        self._master: int | None
        self._master, slave = pty.openpty()
        self.shown = ""
        self._read_to = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.process = subprocess.Popen(
            ["env", "--default-signal=HUP", "setsid", "--ctty", *command],  # tests may run under nohup
            env={**env, "TERM": "dumb", "COLUMNS": "120"}, cwd=cwd, stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        os.close(slave)

    def type(self, text: str) -> None:
        assert self._master is not None
        os.write(self._master, text.encode())

    def wait_for(self, words: str, *, seconds: float = 40) -> str:
        """What was shown since the last call, up to and with these words."""
        deadline = time.monotonic() + seconds
        while words not in self.shown[self._read_to :]:
            if time.monotonic() > deadline or not self._read():
                raise AssertionError(f"{words!r} was not shown:\n{self.shown}")
        end = self.shown.index(words, self._read_to) + len(words)
        said, self._read_to = self.shown[self._read_to : end], end
        return said

    def wait_until_it_waits(self) -> None:
        """For a key, after it has shown a prompt. Python's input() misses a Ctrl-C that comes just before it waits."""
        program = psutil.Process(self.process.pid)
        wait_for(lambda: program.status() == psutil.STATUS_SLEEPING)

    def wait_for_end(self, *, seconds: float = 40) -> int:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read():
            continue
        return self.process.wait(timeout=max(0.1, deadline - time.monotonic()))

    def close(self, *, seconds: float = 20) -> None:
        """Leave it as a closed window does: what runs there gets SIGHUP. Safe to repeat."""
        if self._master is None:
            return
        os.close(self._master)
        self._master = None
        self.process.wait(timeout=seconds)

    def _read(self) -> bool:
        """False when the program has closed its terminal."""
        assert self._master is not None
        if not select.select([self._master], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            return False
        self.shown += self._decoder.decode(data)
        return bool(data)
