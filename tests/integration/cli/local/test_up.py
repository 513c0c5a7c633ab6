"""`make up` for real: everything starts, comes back when a part is killed, and is gone at the end; the data stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from cli.local.data_dir import CLONE, DataDir, write_private
from cli.local.pidfile import Running, read_running
from cli.local.session_workers import agents, executors
from tests.integration.cli.conditions import wait_for
from tests.integration.cli.stack import Stack, free_port, knows
from tests.integration.cli.terminal import Terminal

pytestmark = pytest.mark.stack

Start = Callable[[], Stack]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    data_dir = DataDir(tmp_path / "data")
    started: list[Stack] = []

    def start_stack() -> Stack:
        started.append(Stack(data_dir))
        return started[-1]

    yield start_stack
    for stack in started:
        if stack.process.poll() is None:
            stack.stop()
    shutil.rmtree(data_dir.sockets, ignore_errors=True)


@pytest.fixture
def stack(start: Start) -> Stack:
    stack = start()
    stack.wait_until_ready()
    return stack


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
    token = first.data_dir.token.read_text()
    assert first.chat("--provider", "demo", "--yes", "write a file").returncode == 0
    first.stop()
    second = start()
    second.wait_until_ready()
    assert second.data_dir.token.read_text() == token
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


@pytest.mark.parametrize("part", ["api", "worker", "postgres", "store"])
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
    executor = wait_for(lambda: executors(first.data_dir))[0]
    children = read_running(first.data_dir)
    first.process.kill()
    first.process.wait()
    assert isinstance(children, Running)
    second = start()
    second.wait_until_ready()
    assert all(is_gone(pid) for pid, _ in children.children.values())
    assert executor.is_running()
    assert second.stop() == 0
    assert is_gone(executor.pid)
    assert agents(second.data_dir) == []
    assert second.left() == []


def test_a_new_secret_key_is_refused_while_executors_run_unless_the_old_one_is_there_too(start: Start) -> None:
    first = start()
    first.wait_until_ready()
    assert first.chat("--provider", "demo", "--yes", "write a file").returncode == 0
    executor = wait_for(lambda: executors(first.data_dir))[0]
    first.process.kill()
    first.process.wait()
    old = first.data_dir.secret.read_text()
    first.data_dir.secret.unlink()
    refused = start()
    said, _ = refused.process.communicate(timeout=120)
    assert refused.process.returncode == 2, said
    assert "RUNYARD_SECRET_KEY is not the key of 1 running session worker." in said
    assert executor.is_running(), "what the old key still fits goes on"
    write_private(first.data_dir.previous_secret, old)
    second = start()
    second.wait_until_ready()
    assert executor.is_running()
    assert second.chat("--provider", "demo", "--yes", "write another file").returncode == 0
    assert second.stop() == 0


def test_closing_its_terminal_ends_everything(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    environ = {**os.environ, "RUNYARD_DATA_DIR": str(data_dir.root), "RUNYARD_PORT": str(free_port())}
    terminal = Terminal([sys.executable, "-m", "cli", "up"], env=environ, cwd=CLONE)
    try:
        terminal.wait_for("Runyard is ready", seconds=120)
        chat = [sys.executable, "-m", "cli", "chat", "--provider", "demo", "--yes", "write a file"]
        subprocess.run(chat, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
        assert executors(data_dir)
    finally:
        terminal.close(seconds=90)
    assert executors(data_dir) == []
    assert [process for process in psutil.process_iter() if knows(process, str(data_dir.root))] == []
    assert not data_dir.sockets.exists()
    assert read_running(data_dir) is None


def test_two_clones_run_side_by_side(stack: Stack, tmp_path: Path) -> None:
    with other_clone(tmp_path) as other:
        other.wait_until_ready()
        assert stack.is_ready()
        assert other.chat("--provider", "demo", "--yes", "write a file").returncode == 0


@contextmanager
def other_clone(tmp_path: Path) -> Iterator[Stack]:
    other = Stack(DataDir(tmp_path / "other"))
    try:
        yield other
    finally:
        other.stop()
        shutil.rmtree(other.data_dir.sockets, ignore_errors=True)
