"""What the supervisor promises, shown with real processes: nothing stays down, and nothing is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import psutil
import pytest

from tests.integration.cli.conditions import wait_for

READY = "import sys, time, pathlib; pathlib.Path(sys.argv[1], 'ready').touch(); time.sleep(600)"
ENDS_AT_ONCE = "raise SystemExit('no room in here')"
# Its child is in a session of its own and outlives it, as an executor does its job worker.
LEAVES_ORPHAN = """
import pathlib, subprocess, sys, time
orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path(sys.argv[1], "orphan").write_text(str(orphan.pid))
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(600)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(600)
"""
SAYS_WHEN_IT_ENDS = """
import pathlib, signal, sys, time
def end(*_):
    with pathlib.Path(sys.argv[1], "order").open("a") as order:
        print("{name}", file=order)
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1], "listening-{name}").touch()
time.sleep(600)
"""

BEATS = """
import pathlib, sys, time
pathlib.Path(sys.argv[1], "ready").touch()
while True:
    (pathlib.Path(sys.argv[1]) / "alive").touch()
    time.sleep(0.1)
"""

Supervise = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    started: list[subprocess.Popen[str]] = []

    def start(**programs: str) -> subprocess.Popen[str]:
        named = [f"{name}={code}" for name, code in programs.items()]
        command = [sys.executable, "-m", "tests.integration.cli.local.supervised", str(tmp_path), *named]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if words in line)


def pid_of(folder: Path, name: str) -> int:
    pid: int = json.loads((folder / "pids").read_text())[name]
    return pid


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_ends_is_started_again_with_a_line_that_says_why(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(sleeper=READY)
    read_until(supervisor, "watching")
    first = pid_of(tmp_path, "sleeper")
    psutil.Process(first).kill()
    assert "was killed by SIGKILL; restarting it in 0.2 s" in read_until(supervisor, "sleeper")
    second = wait_for(lambda: pid_of(tmp_path, "sleeper") != first and pid_of(tmp_path, "sleeper"))
    assert psutil.Process(second).is_running()


def test_pause_grows_when_a_program_ends_again_and_again(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(sleeper=READY)
    read_until(supervisor, "watching")
    for pause in ("0.2 s", "0.4 s", "0.8 s"):
        pid = wait_for(lambda: not is_gone(pid_of(tmp_path, "sleeper")) and pid_of(tmp_path, "sleeper"))
        psutil.Process(pid).kill()
        assert pause in read_until(supervisor, "sleeper")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_leaves_no_orphan(tmp_path: Path, supervise: Supervise, sig: signal.Signals) -> None:
    supervisor = supervise(worker=LEAVES_ORPHAN)
    read_until(supervisor, "watching")
    orphan = int((tmp_path / "orphan").read_text())
    supervisor.send_signal(sig)
    assert supervisor.wait(timeout=20) == 0
    assert is_gone(orphan)
    assert is_gone(pid_of(tmp_path, "worker"))


def test_orphan_of_a_killed_worker_lives_until_the_stop(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(worker=LEAVES_ORPHAN)
    read_until(supervisor, "watching")
    orphan = psutil.Process(int((tmp_path / "orphan").read_text()))
    psutil.Process(pid_of(tmp_path, "worker")).kill()
    read_until(supervisor, "worker")
    assert orphan.ppid() == supervisor.pid
    supervisor.terminate()
    assert supervisor.wait(timeout=20) == 0
    assert is_gone(orphan.pid)


def test_what_ignores_the_request_to_end_is_killed_after_the_grace(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(stubborn=STUBBORN)
    read_until(supervisor, "watching")
    supervisor.terminate()
    assert supervisor.wait(timeout=20) == 0
    assert is_gone(pid_of(tmp_path, "stubborn"))


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(sleeper=READY)
    read_until(supervisor, "watching")
    child = pid_of(tmp_path, "sleeper")
    supervisor.kill()
    wait_for(lambda: is_gone(child))


def test_a_program_that_ends_while_starting_is_shown_with_its_last_words(supervise: Supervise) -> None:
    supervisor = supervise(short=ENDS_AT_ONCE)
    said, _ = supervisor.communicate(timeout=20)
    assert "The short ended with status 1 during the start" in said
    assert "no room in here" in said
    assert supervisor.returncode == 1


def test_ctrl_c_while_starting_stops_at_once(supervise: Supervise, tmp_path: Path) -> None:
    supervisor = supervise(slow="import time; time.sleep(600)")
    wait_for((tmp_path / "pids").exists)
    supervisor.send_signal(signal.SIGINT)
    supervisor.wait(timeout=20)
    assert is_gone(pid_of(tmp_path, "slow"))


def test_the_database_ends_after_all_others(tmp_path: Path, supervise: Supervise) -> None:
    names = ["last_database", "worker"]
    supervisor = supervise(**{name: SAYS_WHEN_IT_ENDS.replace("{name}", name) for name in names})
    wait_for(lambda: all((tmp_path / f"listening-{name}").exists() for name in names))
    (tmp_path / "ready").touch()
    read_until(supervisor, "watching")
    supervisor.terminate()
    assert supervisor.wait(timeout=20) == 0
    assert (tmp_path / "order").read_text().split() == ["worker", "last_database"]


def test_a_frozen_program_is_ended_and_started_again(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(beating=BEATS)
    read_until(supervisor, "watching")
    frozen = pid_of(tmp_path, "beating")
    wait_for((tmp_path / "alive").exists)
    psutil.Process(frozen).suspend()
    read_until(supervisor, "beating has been silent for 3 s; ending it")
    read_until(supervisor, "beating was killed by SIGKILL; restarting it")
    wait_for(lambda: pid_of(tmp_path, "beating") != frozen)
    assert is_gone(frozen)


def test_the_others_are_watched_while_a_silent_program_does_not_end(tmp_path: Path, supervise: Supervise) -> None:
    supervisor = supervise(stuck=BEATS, sleeper=READY)
    read_until(supervisor, "watching")
    stuck, sleeper = pid_of(tmp_path, "stuck"), pid_of(tmp_path, "sleeper")
    wait_for((tmp_path / "alive").exists)
    psutil.Process(stuck).suspend()
    read_until(supervisor, "stuck has been silent for 3 s; ending it")
    psutil.Process(sleeper).kill()
    wait_for(lambda: pid_of(tmp_path, "sleeper") != sleeper, seconds=60)
    psutil.Process(stuck).kill()
    assert supervisor.stdout is not None
    said = list(takewhile(lambda line: "stuck was killed by SIGKILL" not in line, supervisor.stdout))
    assert [line for line in said if "silent" in line] == []
    wait_for(lambda: pid_of(tmp_path, "stuck") != stuck, seconds=60)
