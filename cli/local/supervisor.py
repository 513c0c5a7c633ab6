"""Keep programs running on one machine and end them all on request: one thread, one loop, woken by signals.

The supervisor restarts a program that ends by itself, after a pause that grows from 0.2 to 5 s. It adopts orphans of
its programs (executors whose job worker ended), so no process outlives `stop`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import psutil

from cli.local import silence
from cli.local.processes import descendants, describe_end, family, last_lines, log_bytes, signal_all
from cli.local.silence import ProgramSilence
from schema.prctl import become_subreaper

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
WELL_AFTER_SECONDS = 30.0
GRACE_SECONDS = 20.0

Announce = Callable[[str], None]


class StartFailed(Exception):
    """A program did not start; the message names it and shows the end of its log."""


class TookTooLong(StartFailed):
    """A condition did not come true in time, although every program runs."""


class StopRequested(Exception):
    """Ctrl-C or SIGTERM arrived during the start."""


@dataclass(frozen=True)
class Program:
    """`start` returns a new process on each call; `stop_signal` ends it; `last` makes it end after all others.

    A program that has touched its `alive_file` once is killed when it leaves it untouched (see silence.py).
    """

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    last: bool = False
    alive_file: Path | None = None


@dataclass
class WatchedProgram:
    """A program and its current process; `due` is the time of its pending restart (monotonic seconds), `log_before`
    what its log held before (bytes). `was_silent` says that the process was killed and has not ended yet."""

    program: Program
    process: subprocess.Popen[bytes]
    since: float
    log_before: int
    silence: ProgramSilence
    pause: float = FIRST_PAUSE_SECONDS
    due: float | None = None
    was_silent: bool = False


Strays = Callable[[], list[psutil.Process]]


class Requests(Protocol):
    """The requests of this clone's other commands to the supervisor. No method waits."""

    def readable(self) -> list[socket.socket]:
        """Return the sockets at which a request is awaited."""

    def processes(self) -> list[subprocess.Popen[bytes]]:
        """Return the programs that run for a request."""

    def run_once(self) -> None:
        """Take requests, and answer those whose programs have ended."""


class Supervisor:
    """Supervise child processes; call `on_change` whenever a program has a new process.

    `strays` find processes that must end too although they may not be descendants: executors, then their agents.
    """

    def __init__(
        self, *, say: Announce, on_change: Callable[[dict[str, int]], None], strays: Sequence[Strays] = ()
    ) -> None:
        self._say = say
        self._on_change = on_change
        self._strays = strays
        self._watched: list[WatchedProgram] = []
        self._requests: list[Requests] = []
        self._stops_asked = 0
        self._woken, self._wake = socket.socketpair()
        self._woken.settimeout(0)
        self._wake.settimeout(0)

    def listen_to_signals(self) -> None:
        """Make Ctrl-C, SIGTERM and a closed terminal stop in order. Call it in the main thread."""
        become_subreaper()
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, self._ask_stop)
        signal.signal(signal.SIGCHLD, lambda _sig, _frame: None)

    def start(self, program: Program) -> subprocess.Popen[bytes]:
        log_before = log_bytes(program.log)
        watched = WatchedProgram(
            program, program.start(), time.monotonic(), log_before, ProgramSilence(program.alive_file)
        )
        self._watched.append(watched)
        self._tell_change()
        return watched.process

    def run_to_end(self, program: Program, *, seconds: float) -> None:
        """Run a program until it ends by itself. Raise StartFailed when it fails, StopRequested on a stop."""
        log_before = log_bytes(program.log)
        process = program.start()
        try:
            self._wait(lambda: process.poll() is not None, seconds=seconds, what=program.name)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise StartFailed(_sentence(program, describe_end(process.returncode), log_before))

    def wait_until(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Wait for a condition. Raise StartFailed when a program ends, TookTooLong after `seconds`, StopRequested."""
        self._wait(lambda: self._all_live() and condition(), seconds=seconds, what=what)

    def answer(self, requests: Requests) -> None:
        """Answer these requests, too, while it watches."""
        self._requests.append(requests)

    def watch(self) -> None:
        """Restart programs that end, until a stop is requested."""
        while not self._stops_asked:
            self.run_once()
            self._sleep(self._seconds_to_next_start())

    def run_once(self) -> None:
        self._reap_orphans()
        for requests in self._requests:
            requests.run_once()
        for watched in self._watched:
            if watched.due is None and not watched.was_silent and watched.silence.is_too_long(time.monotonic()):
                self._end_silent(watched)
            if watched.due is None and watched.process.poll() is not None:
                self._plan_restart(watched, describe_end(watched.process.returncode))
            if watched.due is not None and time.monotonic() >= watched.due:
                self._restart(watched)

    def stop(self, *, keep_strays: bool = False) -> None:
        """End the programs that take work, then their strays (executors, then agents), then the `last` programs.

        `keep_strays` keeps strays of an earlier start, which are no descendants.
        """
        stops_before = self._stops_asked
        first = [watched for watched in self._watched if not watched.program.last]
        last = [watched for watched in self._watched if watched.program.last]
        self._end(_living(first), stops_before=stops_before)
        kept = {member.pid for process in _living(last) for member in family(process)}
        strays = () if keep_strays else self._strays
        for find in (*strays, psutil.Process().children, descendants):
            self._end([process for process in find() if process.pid not in kept], stops_before=stops_before)
        for watched in last:
            self._end(_living([watched]), first=watched.program.stop_signal, stops_before=stops_before)
        self._end(descendants(), first=signal.SIGKILL, stops_before=stops_before)
        self._watched.clear()

    def _end(
        self, processes: Sequence[psutil.Process], *, stops_before: int, first: signal.Signals = signal.SIGTERM
    ) -> None:
        """Send `first`, wait up to the grace or a second stop request, then kill."""
        signal_all(processes, first)
        deadline = time.monotonic() + GRACE_SECONDS
        remaining = list(processes)
        while remaining and time.monotonic() < deadline and self._stops_asked <= stops_before:
            _, remaining = psutil.wait_procs(remaining, timeout=0.05)
        signal_all(remaining, signal.SIGKILL)
        psutil.wait_procs(remaining, timeout=5)

    def _all_live(self) -> bool:
        self._reap_orphans()
        for watched in self._watched:
            if watched.process.poll() is not None:
                how = describe_end(watched.process.returncode)
                raise StartFailed(_sentence(watched.program, how, watched.log_before))
        return True

    def _wait(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._stops_asked:
                raise StopRequested
            if time.monotonic() > deadline:
                raise TookTooLong(f"{what} was not ready within {seconds:.0f} s.")
            self._sleep(0.03)
        if self._stops_asked:
            raise StopRequested

    def _end_silent(self, watched: WatchedProgram) -> None:
        """Kill a silent process, once. A later turn sees its end: one that waits for a disk can take for ever."""
        self._say(f"{watched.program.name} has been silent for {silence.SILENT_SECONDS:.0f} s; ending it")
        watched.was_silent = True
        watched.process.kill()

    def _plan_restart(self, watched: WatchedProgram, how: str) -> None:
        if time.monotonic() - watched.since > WELL_AFTER_SECONDS:
            watched.pause = FIRST_PAUSE_SECONDS
        self._say(f"{watched.program.name} {how}; restarting it in {watched.pause:g} s (see {watched.program.log})")
        watched.due = time.monotonic() + watched.pause
        watched.pause = min(watched.pause * 2, LONGEST_PAUSE_SECONDS)

    def _restart(self, watched: WatchedProgram) -> None:
        try:
            watched.process = watched.program.start()
        except (OSError, subprocess.SubprocessError) as error:
            self._plan_restart(watched, f"did not start: {error}")
            return
        watched.since, watched.due, watched.was_silent = time.monotonic(), None, False
        watched.silence.begin_again(watched.since)
        self._tell_change()

    def _seconds_to_next_start(self) -> float:
        """Return the pause to the next restart, at most 1 s: a lost wake-up costs no more."""
        dues = [watched.due - time.monotonic() for watched in self._watched if watched.due is not None]
        return max(0.0, min([1.0, *dues]))

    def _reap_orphans(self) -> None:
        """Reap adopted processes that ended. Each Popen reaps the process that it started."""
        started = [watched.process for watched in self._watched]
        ours = {process.pid: process for process in (*started, *self._started_for_requests())}
        while sys.platform == "linux" and (pid := _ended_child()) is not None:
            if pid in ours:
                ours[pid].poll()
            else:
                os.waitpid(pid, 0)

    def _started_for_requests(self) -> list[subprocess.Popen[bytes]]:
        return [process for requests in self._requests for process in requests.processes()]

    def _sleep(self, seconds: float) -> None:
        if self._stops_asked:
            return
        asked = [waiting for requests in self._requests for waiting in requests.readable()]
        if self._woken in select.select([self._woken, *asked], [], [], seconds)[0]:
            self._woken.recv(4096)

    def _ask_stop(self, _sig: int, _frame: FrameType | None) -> None:
        self._stops_asked += 1

    def _tell_change(self) -> None:
        living = [watched for watched in self._watched if watched.process.poll() is None]
        self._on_change({watched.program.name: watched.process.pid for watched in living})


def _ended_child() -> int | None:
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return ended.si_pid if ended is not None else None


def _living(watched: Sequence[WatchedProgram]) -> list[psutil.Process]:
    return [psutil.Process(child.process.pid) for child in watched if child.process.poll() is None]


def _sentence(program: Program, how: str, log_before: int) -> str:
    end = last_lines(program.log, since=log_before)
    return f"The {program.name} {how} during the start. The end of {program.log}:\n{end}"
