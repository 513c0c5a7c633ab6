"""The table of faults: what is hurt, and from when its recovery is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import psutil

from cli.local.data_dir import DataDir
from cli.local.pidfile import read_running
from jobs.hosts.folder import SessionFolder
from tests.acceptance.stack import Stack
from tests.acceptance.test_agents import agents_of
from tests.benchmarks.recovery.probes import PAUSE_SECONDS
from tests.thoroughness import FULL


@dataclass(frozen=True)
class Hurt:
    """What is hurt: the stack, and the session of the run that has to go on."""

    stack: Stack
    session_id: str

    def process(self, name: str) -> psutil.Process:
        """The supervisor's program of that name."""
        running = read_running(DataDir(self.stack.data))
        assert running is not None
        return psutil.Process(running.children[name][0])


Find = Callable[[Hurt], list[psutil.Process]]


@dataclass(frozen=True)
class Fault:
    """A row of the table. `hurt` begins the fault, which ends with its block, after `lasts` seconds.

    `program` is restarted by the supervisor. The run that has to go on is `at work`, or must be restored from the store
    first (`stored`). `says` are words of which the answer to `why` is to hold one, of that run or of a new one. `most`
    is the wanted time in seconds.
    """

    what: str
    hurt: Callable[[Hurt], AbstractContextManager[None]]
    lasts: float = 0.0
    program: str | None = None
    waiting: Literal["at work", "stored"] = "at work"
    says: tuple[str, ...] = ()
    asks_about: Literal["the hurt run", "a new run"] = "the hurt run"
    most: float | None = None
    is_long: bool = False


def _all_of(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _api(hurt: Hurt) -> list[psutil.Process]:
    return _all_of(hurt.process("api"))


def _job_worker(hurt: Hurt) -> list[psutil.Process]:
    """Alone: executors and spare executors are its children."""
    return [hurt.process("worker")]


def _store(hurt: Hurt) -> list[psutil.Process]:
    return _all_of(hurt.process("store"))


def _postgres(hurt: Hurt) -> list[psutil.Process]:
    return _all_of(hurt.process("postgres"))


def _executor(hurt: Hurt) -> list[psutil.Process]:
    listening = SessionFolder(hurt.stack.data / "workers" / hurt.session_id).listening()
    process = None if listening is None else listening.process
    assert process is not None
    return [process]


def _agent(hurt: Hurt) -> list[psutil.Process]:
    return agents_of(hurt.session_id)


@contextmanager
def _killed(find: Find, hurt: Hurt) -> Iterator[None]:
    """Once. Whoever restarts it does so during the block."""
    _kill(find, hurt)
    yield


@contextmanager
def _away(find: Find, hurt: Hurt) -> Iterator[None]:
    """Kill it, and each process that the supervisor starts in its place, until the end of the block."""
    is_over = threading.Event()

    def kill_again_and_again() -> None:
        while not is_over.is_set():
            with suppress(psutil.NoSuchProcess, KeyError):
                _kill(find, hurt)
            is_over.wait(PAUSE_SECONDS)

    _kill(find, hurt)
    killing = threading.Thread(target=kill_again_and_again)
    killing.start()
    try:
        yield
    finally:
        is_over.set()
        killing.join()


@contextmanager
def _frozen(find: Find, hurt: Hurt, *, for_good: bool = True) -> Iterator[None]:
    """Stand still (SIGSTOP). For good: somebody has to end it."""
    processes = find(hurt)
    for process in processes:
        process.suspend()
    yield
    for process in () if for_good else reversed(processes):
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def _full_disk(hurt: Hurt) -> Iterator[None]:
    """Leave nothing free where the stack's data are."""
    ballast = hurt.stack.data / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    yield
    ballast.unlink()


def _kill(find: Find, hurt: Hurt) -> None:
    for process in find(hurt):
        with suppress(psutil.NoSuchProcess):
            process.kill()


STORE_AWAY = ("limit_of_store",)
FAULTS = [
    Fault("API killed", partial(_killed, _api), program="api", most=11),
    Fault(
        "job worker killed",
        partial(_killed, _job_worker),
        program="worker",
        says=("job_worker_away",),
        asks_about="a new run",
        most=4.5,
    ),
    Fault("executor killed", partial(_killed, _executor), says=("run.retrying",), most=14),
    Fault("agent killed", partial(_killed, _agent), says=("agent_crashed",)),
    Fault("store killed", partial(_killed, _store), program="store", waiting="stored", says=STORE_AWAY),
    Fault("PostgreSQL killed", partial(_killed, _postgres), program="postgres"),
    Fault(
        "job worker frozen",
        partial(_frozen, _job_worker),
        program="worker",
        says=("job_worker_away",),
        asks_about="a new run",
    ),
    Fault("executor frozen", partial(_frozen, _executor), says=("run.retrying",)),
    Fault("PostgreSQL frozen for 10 s", partial(_frozen, _postgres, for_good=False), lasts=10),
    Fault("PostgreSQL away for 30 s", partial(_away, _postgres), lasts=30, program="postgres", most=5.5),
    Fault(
        "store away for 2 minutes",
        partial(_away, _store),
        lasts=120,
        program="store",
        waiting="stored",
        says=STORE_AWAY,
        is_long=True,
    ),
]
DISK_FULL = Fault("disk full for 10 s", _full_disk, lasts=10, says=("limit_of_host",), asks_about="a new run")
"""It needs a stack whose data have a small file system of their own."""


def chosen() -> list[Fault]:
    """All in a full run; else without those that take minutes."""
    return [fault for fault in FAULTS if FULL or not fault.is_long]
