"""Spare executors: started early, with all modules imported, and waiting for their settings.

Settings arrive on standard input and the keys of agents in an inherited file, so that other processes cannot read them
from the environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.hosts.environment import sealed_executor

CODE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Assignment:
    """The settings and the log file that make a spare the executor of one session."""

    settings: Mapping[str, str]
    log: Path


class Spares:
    """Keeps at most `count` spares waiting. They end with this process: their standard input closes."""

    def __init__(self, environment: Mapping[str, str], *, count: int) -> None:
        self._environment = environment
        self._count = count
        self._waiting: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def assign(self, assignment: Assignment) -> subprocess.Popen[bytes]:
        """Return a process that becomes the assigned executor. Raise OSError when no process starts."""
        child = self._take() or self._start()
        line = json.dumps({"settings": dict(assignment.settings), "log": str(assignment.log)}) + "\n"
        assert child.stdin is not None
        try:
            child.stdin.write(line.encode())
            child.stdin.close()
        except BrokenPipeError:
            child.kill()
            child.wait()
            raise
        return child

    def refill(self) -> None:
        """Start missing spares. The host calls this later, not after an assignment: the agent needs the processor."""
        with self._lock:
            self._waiting = [child for child in self._waiting if child.poll() is None]
            while len(self._waiting) < self._count:
                self._waiting.append(self._start())

    def _take(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            while self._waiting:
                child = self._waiting.pop()
                if child.poll() is None:
                    return child
        return None

    def _start(self) -> subprocess.Popen[bytes]:
        with sealed_executor(self._environment) as (environment, descriptor):
            return subprocess.Popen(
                [sys.executable, "-m", "executor", "--spare"],
                cwd=CODE,
                env=environment,
                pass_fds=[descriptor],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
