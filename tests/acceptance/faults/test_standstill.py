"""Processes that stand still for a while, as on a machine that swaps or is suspended: nothing is lost when they go on.

SIGSTOP and SIGCONT of API, PostgreSQL and agent; those of job worker and executor are with their other faults.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from tests.acceptance.faults.load import under_load, wait_for_more
from tests.acceptance.faults.plane import Plane
from tests.acceptance.talk import Talk, outcome, texts
from tests.acceptance.waiting import wait_until
from tests.databases import EMBEDDED, ServerOf
from tests.thoroughness import times

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}
STILL_SECONDS = times(3, 30)


@contextmanager
def standing_still(processes: list[psutil.Process]) -> Iterator[None]:
    """All of them, for the time of the block."""
    try:
        for process in processes:
            process.suspend()
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def test_an_api_process_that_stands_still_loses_nothing(plane: Plane, talk: Talk) -> None:
    started = talk.start("sleep 1\nsay: meanwhile\nsleep 3\nsay: after", options=AUTO)
    plane.follow(started["sessionId"])
    plane.wait_for(started["runId"], "running")
    with under_load(plane):
        with standing_still(plane.api.family):
            threading.Event().wait(STILL_SECONDS)
        wait_for_more(plane)
    plane.wait_for(started["runId"], "succeeded")
    assert texts(talk.events(started["runId"])).split()[-1] == "after"


def test_a_database_that_stands_still_loses_nothing(plane: Plane, talk: Talk, server_of: ServerOf) -> None:
    postmaster = psutil.Process(server_of(EMBEDDED).postgres.process.pid)
    started = talk.start("sleep 1\nsay: meanwhile\nsleep 3\nsay: after", options=AUTO)
    plane.follow(started["sessionId"])
    plane.wait_for(started["runId"], "running")
    with under_load(plane):
        with standing_still([postmaster, *postmaster.children(recursive=True)]):
            threading.Event().wait(STILL_SECONDS)
        wait_for_more(plane)
    plane.wait_for(started["runId"], "succeeded")
    assert texts(talk.events(started["runId"])).split().count("meanwhile") == 1


def test_an_agent_that_stands_still_can_be_stopped(plane: Plane, talk: Talk) -> None:
    started = talk.start("run: echo $PPID > agent; sleep 100", options=AUTO)
    file = plane.workspace(started["sessionId"]) / "agent"
    wait_until(lambda: file.exists() and file.read_text().strip() != "", seconds=60, what="no command")
    psutil.Process(int(file.read_text())).suspend()
    talk.stop(started["runId"])
    plane.wait_for(started["runId"], "cancelled")
    assert outcome(talk.say("say: again", sessionId=started["sessionId"], options=AUTO)) == ("succeeded", None)
