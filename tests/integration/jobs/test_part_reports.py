"""What a job worker reports about the parts that runs need, as /ready reads it: by what is so on its machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from handlers.workers.parts import parts_for_runs
from jobs.context import TaskContext
from jobs.object_store.writing import StoreWriting
from jobs.workers.parts import PartReports
from schema.sql import Conn
from tests.object_stores import RunningStore
from tests.store_faults import HurtStore

MakeContext: TypeAlias = Callable[..., TaskContext]


def at_fault(conn: Conn, reports: PartReports) -> set[str]:
    """Return the parts that a report has at fault now."""
    reports.run_once()
    return {part for part, state in parts_for_runs(conn, within_seconds=60).items() if not state.is_well}


def test_a_machine_that_is_well_has_no_part_at_fault(make_context: MakeContext, conn: Conn) -> None:
    assert at_fault(conn, PartReports(make_context(), None)) == set()


@pytest.mark.parametrize("engine", ["away", "no-engine"])
def test_a_host_whose_engine_cannot_be_used_starts_no_worker(
    make_context: MakeContext, conn: Conn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str
) -> None:
    socket = tmp_path / "engine.sock"
    if engine == "no-engine":
        socket.write_text("something else lies there")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    assert at_fault(conn, PartReports(make_context(worker_host="docker"), None)) == {"host"}


@pytest.mark.parametrize(
    ("limits", "parts"),
    [({"disk_alarm_free_mb": 10**9}, {"disk"}), ({"disk_stop_free_mb": 10**9}, {"host"})],
)
def test_a_disk_is_low_before_it_keeps_workers_from_starting(
    make_context: MakeContext, conn: Conn, limits: dict[str, int], parts: set[str]
) -> None:
    assert at_fault(conn, PartReports(make_context(**limits), None)) >= parts


def test_a_store_that_takes_no_writes_is_at_fault_until_it_does_again(
    make_context: MakeContext, conn: Conn, object_store: RunningStore, hurt_store: HurtStore
) -> None:
    writing = StoreWriting(object_store.at(hurt_store.url).open())
    reports = PartReports(make_context(), writing)
    found = []
    for is_down in (False, True, False):
        hurt_store.is_down = is_down
        writing.run_once()
        found.append(at_fault(conn, reports))
    assert found == [set(), {"store"}, set()]
