"""Each fault of the table on a whole stack: when starts are accepted, a new run works, the hurt one goes on, and `why`
says it."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tests.acceptance.stack import Stack, running_stack
from tests.acceptance.talk import Talk
from tests.acceptance.test_workers import remove_stopped, stop_idle
from tests.acceptance.waiting import wait_until
from tests.benchmarks.recovery.faults import DISK_FULL, Fault, Hurt, chosen
from tests.benchmarks.recovery.probes import Probe, Start, goes_on, now, why_says
from tests.benchmarks.report import Line, Wanted

WITHIN_SECONDS = 150.0
NO_MODEL = "http://127.0.0.1:9"
WORKING = "\n".join(["say: tick", "sleep 0.3"] * 1000)
DISK_BYTES = 2**30
LAST_WORD_SECONDS = 1.0
"""How much longer `why` is asked when all else has recovered."""


@dataclass(frozen=True)
class Recovery:
    """Seconds until each of them; None where it did not come. `why` is counted from the fault's begin, all others from
    its end."""

    restarted: float | None
    accepted: float | None
    new_run: float | None
    hurt_run: float | None
    why: float | None


def recovery() -> Iterator[Line]:
    with _folder() as folder, running_stack(folder, model_url=NO_MODEL) as stack:
        for fault in chosen():
            yield _line(fault, _measured(stack, fault))
    with _folder() as folder, ExitStack() as until_done:
        if not _mounts_small_disk(folder, until_done):
            yield Line("recovery", DISK_FULL.what, "-", note="not measured: this account may not mount a file system")
            return
        stack = until_done.enter_context(running_stack(folder, model_url=NO_MODEL))
        yield _line(DISK_FULL, _measured(stack, DISK_FULL))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runyard-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # PostgreSQL may run as another user, who passes through
        yield Path(name)


def _mounts_small_disk(folder: Path, until_done: ExitStack) -> bool:
    """Give the folder a file system of its own, until `until_done` ends. Return False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=711", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return False
    until_done.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
    return True


def _measured(stack: Stack, fault: Fault) -> Recovery:
    with Talk(stack.url, stack.token) as talk:
        session_id, hurt_run = _at_work(talk) if fault.waiting == "at work" else _stored(talk)
        new_run = Start("say: hello")
        recovery = _hurt(Hurt(stack, session_id), fault, hurt_run=hurt_run, new_run=new_run)
        for run in (hurt_run, new_run):
            if run.run_id is not None:
                talk.stop(run.run_id)
                wait_until(partial(_is_over, talk, run.run_id), seconds=120, what="a run does not end")
    return recovery


def _hurt(hurt: Hurt, fault: Fault, *, hurt_run: Start, new_run: Start) -> Recovery:
    before, since = _pid(hurt, fault), now()
    asked = hurt_run if fault.asks_about == "the hurt run" else new_run
    with ExitStack() as asking:
        with fault.hurt(hurt):
            began = time.monotonic()
            if hurt_run.run_id is None:
                asking.enter_context(Probe(hurt.stack, hurt_run.is_accepted))
            accepted, new, ongoing, why = (
                asking.enter_context(Probe(hurt.stack, question))
                for question in (
                    new_run.is_accepted,
                    new_run.is_at_work,
                    partial(goes_on, hurt_run, since),
                    partial(why_says, asked, fault.says),
                )
            )
            threading.Event().wait(fault.lasts)
        over, last = time.monotonic(), _pid(hurt, fault) if fault.lasts else before
        restarted = asking.enter_context(Probe(hurt.stack, lambda _: _pid(hurt, fault) not in (None, last)))
        return Recovery(
            accepted=accepted.seconds_since(over, at_most=WITHIN_SECONDS),
            new_run=new.seconds_since(over, at_most=WITHIN_SECONDS),
            hurt_run=ongoing.seconds_since(over, at_most=WITHIN_SECONDS),
            restarted=restarted.seconds_since(over, at_most=0),
            why=why.seconds_since(began, at_most=time.monotonic() - began + LAST_WORD_SECONDS),
        )


def _at_work(talk: Talk) -> tuple[str, Start]:
    """A session and a run whose agent says something several times a second."""
    run = Start(WORKING)
    wait_until(lambda: run.is_accepted(talk.http), seconds=60, what="no start is accepted")
    wait_until(lambda: run.is_at_work(talk.http), seconds=60, what="the agent does not begin")
    assert run.run_id is not None
    return str(talk.run(run.run_id)["sessionId"]), run


def _stored(talk: Talk) -> tuple[str, Start]:
    """A session whose worker is removed, and a start in it that nobody has sent yet."""
    session_id = str(talk.say("write notes.txt: remember", provider="demo", options={"mode": "auto"})[0]["sessionId"])
    stop_idle(talk, session_id)
    remove_stopped(talk, session_id)
    return session_id, Start("read notes.txt", session_id=session_id)


def _is_over(talk: Talk, run_id: str) -> bool:
    return "finishedAt" in talk.run(run_id)


def _pid(hurt: Hurt, fault: Fault) -> int | None:
    """The process id of the program that the supervisor restarts; None while there is none."""
    with suppress(psutil.NoSuchProcess, KeyError):
        return None if fault.program is None else hurt.process(fault.program).pid
    return None


def _line(fault: Fault, took: Recovery) -> Line:
    figures = {
        "restarted": took.restarted,
        "start accepted": took.accepted,
        "new run at work": took.new_run,
        "hurt run goes on": took.hurt_run,
        "`why`": took.why,
    }
    missing = {"restarted": "by nobody" if fault.program is None else "never", "`why`": "not needed"}
    shown = [f"{what} {_seconds(figure, missing.get(what, 'never'))}" for what, figure in figures.items()]
    decides = took.new_run if fault.asks_about == "a new run" else took.hurt_run
    wanted = None if fault.most is None else Wanted("<=", fault.most, "s")
    figure = WITHIN_SECONDS if decides is None else decides
    return Line("recovery", fault.what, ", ".join(shown), wanted=wanted, figure=figure)


def _seconds(figure: float | None, missing: str) -> str:
    return missing if figure is None else f"{figure:.1f} s"
