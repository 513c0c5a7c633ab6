"""G17: from a person's answer to the agent at work again, by what became of its session worker meanwhile."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from tests.acceptance.stack import Stack, running_stack
from tests.acceptance.talk import Json, Talk
from tests.acceptance.test_agents import agents_of
from tests.acceptance.test_workers import remove_stopped, stop_idle
from tests.acceptance.waiting import wait_until
from tests.benchmarks.figures import percentile
from tests.benchmarks.report import Line, bounded
from tests.benchmarks.trees import make_tree
from tests.model_server.starter import model_server

SAMPLES = 8
NOTED_SECONDS = 3.0
ASK: Json = {"mode": "ask"}
WAITS: Json = {"onExpiry": "wait"}
PARKS: Json = {"onExpiry": "park", "expirySeconds": 0.1}
Prepare = Callable[[Talk, str], None]


def answering() -> Iterator[Line]:
    with (
        model_server() as model,
        tempfile.TemporaryDirectory() as name,
        running_stack(Path(name), model_url=model.url) as stack,
        Talk(stack.url, stack.token) as talk,
    ):
        yield _line("its agent waits", [_answered(talk, _stay, policy=WAITS) for _ in range(SAMPLES)])
        yield _line("parked, its session worker is active", [_answered(talk, _stay) for _ in range(SAMPLES)])
        yield _line("parked, its session worker is stopped", [_answered(talk, stop_idle) for _ in range(SAMPLES)])
        yield _line("parked, its session worker is removed", [_answered(talk, _remove) for _ in range(SAMPLES)])
        large = _answered(talk, partial(_remove_with_tree, stack))
        yield Line("G17", "the same, with 50,000 files to restore, once", f"{large:.2f} s")


def _line(what: str, seconds: list[float]) -> Line:
    p95 = percentile(seconds, 95)
    figures = f"{median(seconds):.2f} s, p95 {p95:.2f} s of {len(seconds)}"
    what = f"answer to the agent at work, p95: {what}"
    return bounded("G17", what, p95, unit="s", most=NOTED_SECONDS, measured=figures)


def _answered(talk: Talk, prepare: Prepare, *, policy: Json = PARKS) -> float:
    """Seconds from the answer to the agent's report that it has it, at a client that follows the session."""
    started = talk.start("write a.txt: b", provider="demo", options=ASK, humanLoop=policy)
    events = talk.watch(started, until="run.parked" if policy is PARKS else "run.waiting")
    if policy is PARKS:
        wait_until(lambda: not agents_of(started["sessionId"]), seconds=60, what="the agent does not end")
    prepare(talk, started["sessionId"])
    [request] = [event["data"] for event in events if event["type"] == "human_loop.requested"]
    with talk.following(started["sessionId"], after=events[-1]["seq"]) as following:
        began = time.monotonic()
        assert talk.reply(request["requestId"], "allow").status_code == 200
        applied = next(event for event in following if event["type"] == "human_loop.applied")
        took = time.monotonic() - began
    assert applied["data"]["outcome"] == "applied", applied
    talk.watch(started)
    return took


def _stay(_talk: Talk, _session_id: str) -> None:
    """Leave the session worker as it is."""


def _remove(talk: Talk, session_id: str) -> None:
    stop_idle(talk, session_id)
    remove_stopped(talk, session_id)


def _remove_with_tree(stack: Stack, talk: Talk, session_id: str) -> None:
    make_tree(stack.workspace(session_id) / "tree")
    retire, row = f"/api/session-workers/{session_id}/cleanup", f"/api/session-workers/{session_id}"

    def is_absent() -> bool:
        for step in ("idle", "stopped"):  # a save may outlast the call, which is 503 then
            talk.http.post(f"{retire}/{step}", timeout=90)
        return bool(talk.http.get(row).raise_for_status().json()["status"] == "absent")

    wait_until(is_absent, seconds=300, what="the session worker is not removed")
