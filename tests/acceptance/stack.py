"""Starts `python -m cli up` in a folder of its own, as a user would, and ends it with SIGINT, as Ctrl-C would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.acceptance.waiting import wait_until
from tests.model_server.providers import scripted_environment, scripted_providers

CLONE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stack:
    """A running one. `data` is its `.runyard/`."""

    url: str
    data: Path
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def token(self) -> str:
        return (self.data / "token").read_text().strip()

    def workspace(self, session_id: str) -> Path:
        return self.data / "workers" / session_id / "workspace"


@contextmanager
def running_stack(
    folder: Path, *, model_url: str, settings: Mapping[str, str] | None = None, extra_providers: str = "", port: int = 0
) -> Iterator[Stack]:
    """Ready for requests; stopped, and nothing left of it, at the end of the block."""
    data = folder / "data"
    providers = folder / "providers.toml"
    providers.write_text(scripted_providers(model_url) + extra_providers)
    port = port or free_port()
    environ = {
        **os.environ,
        "RUNYARD_DATA_DIR": str(data),
        "RUNYARD_PORT": str(port),
        "PROVIDERS_FILE": str(providers),
        "AGENTS_DIR": os.environ.get("AGENTS_DIR", str(CLONE / ".runyard" / "agents")),
        **scripted_environment(model_url),
        **(settings or {}),
    }
    output = folder / "up.log"
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up"], cwd=CLONE, env=environ, stdout=out, stderr=subprocess.STDOUT, text=True
        )
    stack = Stack(url=f"http://127.0.0.1:{port}", data=data, process=process)
    try:
        wait_until(lambda: _is_ready(stack), seconds=240, what=lambda: f"not ready:\n{output.read_text()}")
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)


def _is_ready(stack: Stack) -> bool:
    if stack.process.poll() is not None:
        raise AssertionError("make up ended by itself")
    try:
        if httpx.get(f"{stack.url}/ready", timeout=5).status_code != 200:
            return False
        providers = httpx.get(f"{stack.url}/api/providers", headers={"authorization": f"Bearer {stack.token}"})
        return bool(providers.json()["items"])
    except (httpx.HTTPError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
