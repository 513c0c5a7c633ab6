"""One whole Runyard, started by `python -m cli up` on its own data and port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import httpx
import psutil

from cli.local.data_dir import DataDir
from cli.local.pidfile import read_running


class Stack:
    """Started at once; `wait_until_ready` before use, `stop` at the end."""

    def __init__(self, data_dir: DataDir) -> None:
        port = free_port()
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self.environ = {**os.environ, "RUNYARD_DATA_DIR": str(data_dir.root), "RUNYARD_PORT": str(port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up"], env=self.environ, stdout=subprocess.PIPE, text=True
        )

    def wait_until_ready(self) -> str:
        """The line with the address."""
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Runyard is ready" in line:
                return line
        raise AssertionError("".join(said))

    def pid(self, name: str) -> int:
        """Of the part that runs under this name now; 0 when none does."""
        running = read_running(self.data_dir)
        return running.children[name][0] if running and name in running.children else 0

    def chat(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "chat", *arguments],
            env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, sig: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(sig)
        self.process.communicate(timeout=60)
        return self.process.returncode

    def left(self) -> list[psutil.Process]:
        """Every process that knows these data by its environment, its command or its folder."""
        return [process for process in psutil.process_iter() if knows(process, str(self.data_dir.root))]


def knows(process: psutil.Process, folder: str) -> bool:
    try:
        told = [*process.environ().values(), *process.cmdline(), process.cwd()]
    except psutil.Error:
        return False
    return process.pid != os.getpid() and any(folder in words for words in told)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
