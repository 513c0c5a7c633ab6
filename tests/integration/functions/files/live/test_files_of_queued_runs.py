"""Runs that follow each other at once, by a real executor: the files of each are those that it left."""

from __future__ import annotations

from uuid import UUID

from tests.integration.functions.files.live.conftest import LiveSession


def test_each_queued_run_shows_its_own_files_and_what_it_changed(live: LiveSession) -> None:
    runs = [live.begin(f"run: echo {number} >> log; echo {number} > last; touch made-{number}") for number in (1, 2, 3)]
    live.wait_for(runs[-1], "succeeded")
    live.wait_until_saved()
    assert [live.read("content", path="last", runId=run)["text"] for run in runs] == ["1\n", "2\n", "3\n"]
    assert [live.read("content", path="log", runId=run)["runId"] for run in runs] == [str(run) for run in runs]
    between = live.read("diff", **{"from": runs[0], "to": runs[1]})["files"]
    assert {change["path"]: change["change"] for change in between} == {
        "last": "changed",
        "log": "changed",
        "made-2": "added",
    }
    assert quiesced_by_run(live, runs) == [1, 1, 1]


def quiesced_by_run(live: LiveSession, runs: list[UUID]) -> list[int]:
    """The number of snapshots at rest of each run."""
    rows = live.conn.execute(
        "SELECT run_id, count(*) FROM snapshots WHERE session_id = %s AND at_rest GROUP BY run_id", (live.id,)
    ).fetchall()
    counts = {row[0]: row[1] for row in rows}
    return [counts.get(run, 0) for run in runs]
