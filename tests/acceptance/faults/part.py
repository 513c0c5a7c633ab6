"""One process of the control plane that can be hurt."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass
class Part:
    """A process of ours with its children (gunicorn has one)."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def owner(self) -> str:
        """What the queue calls this job worker."""
        return f"{socket.gethostname()}:{self.process.pid}"

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def family(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """All of it at once, as the kernel does when memory is short or a container goes."""
        self.pause()
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        for process in self.family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def end(self) -> None:
        if self.is_alive:
            self.go_on()
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def threads(self) -> int:
        return sum(process.num_threads() for process in self.family)
