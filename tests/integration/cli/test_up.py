"""`make up` for real: everything starts, comes back when a part is killed, and is gone at the end; the data stay."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from cli.places import Places
from cli.running import Running, read_running
from cli.workers import agents, executors
from tests.integration.cli.conditions import wait_for

pytestmark = pytest.mark.stack
START_SECONDS = 60


class Stack:
    """One `up` on its own data and port."""

    def __init__(self, places: Places, port: int) -> None:
        self.places = places
        self.url = f"http://127.0.0.1:{port}"
        self.environ = {**os.environ, "RUNYARD_DATA_DIR": str(places.root), "RUNYARD_PORT": str(port)}
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
        running = read_running(self.places)
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
        return [process for process in psutil.process_iter() if knows(process, str(self.places.root))]


def knows(process: psutil.Process, folder: str) -> bool:
    try:
        told = [*process.environ().values(), *process.cmdline(), process.cwd()]
    except psutil.Error:
        return False
    return process.pid != os.getpid() and any(folder in words for words in told)


Start = Callable[[], Stack]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    places = Places(tmp_path / "data")
    started: list[Stack] = []

    def start_stack() -> Stack:
        started.append(Stack(places, free_port()))
        return started[-1]

    yield start_stack
    for stack in started:
        if stack.process.poll() is None:
            stack.stop()
    shutil.rmtree(places.sockets, ignore_errors=True)


@pytest.fixture
def stack(start: Start) -> Stack:
    stack = start()
    stack.wait_until_ready()
    return stack


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_first_prompt_runs_and_ctrl_c_leaves_nothing(stack: Stack) -> None:
    said = stack.chat("--provider", "demo", "--yes", "write a file")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "succeeded" in said.stdout
    assert stack.stop() == 0
    assert stack.left() == []


def test_sessions_are_kept_for_the_next_start(start: Start) -> None:
    first = start()
    first.wait_until_ready()
    token = first.places.token.read_text()
    assert first.chat("--provider", "demo", "--yes", "write a file").returncode == 0
    first.stop()
    second = start()
    second.wait_until_ready()
    assert second.places.token.read_text() == token
    listed = subprocess.run(
        [sys.executable, "-m", "cli", "users", "list", "--json"],
        env={**second.environ, "DATABASE_URL": ""}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [user["name"] for user in json.loads(listed.stdout)] == ["admin"]
    again = httpx.post(
        f"{second.url}/api/runs/start",
        json={"prompt": "again", "provider": "demo"},
        headers={"authorization": f"Bearer {token.strip()}"},
    )
    assert again.status_code == 202, again.text


@pytest.mark.parametrize("part", ["api", "worker", "postgres"])
def test_killed_part_comes_back(stack: Stack, part: str) -> None:
    before = stack.pid(part)
    psutil.Process(before).kill()
    wait_for(lambda: stack.pid(part) not in {0, before}, seconds=30)
    wait_for(stack.is_ready, seconds=30)
    said = stack.chat("--provider", "demo", "--yes", "write a file")
    assert said.returncode == 0, said.stdout + said.stderr


def test_start_after_kill_9_of_the_supervisor_takes_over(start: Start) -> None:
    first = start()
    first.wait_until_ready()
    assert first.chat("--provider", "demo", "--yes", "write a file").returncode == 0
    executor = wait_for(lambda: executors(first.places))[0]
    children = read_running(first.places)
    first.process.kill()
    first.process.wait()
    assert isinstance(children, Running)
    second = start()
    second.wait_until_ready()
    assert all(is_gone(pid) for pid, _ in children.children.values())
    assert executor.is_running()
    assert second.stop() == 0
    assert is_gone(executor.pid)
    assert agents(second.places) == []
    assert second.left() == []


def test_two_clones_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    with other_clone(tmp_path) as other:
        other.wait_until_ready()
        assert stack.is_ready()
        assert other.chat("--provider", "demo", "--yes", "write a file").returncode == 0


@contextmanager
def other_clone(tmp_path: Path) -> Iterator[Stack]:
    other = Stack(Places(tmp_path / "other"), free_port())
    try:
        yield other
    finally:
        other.stop()
        shutil.rmtree(other.places.sockets, ignore_errors=True)
