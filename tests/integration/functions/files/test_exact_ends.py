"""An answer about a run's files says whether they are those that the run left at its end."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from uuid import UUID

from schema.run_ends import NO_END_SAVED
from schema.wire import Json
from tests.integration.functions.files.conftest import SavedSession, Terminal


def saved_run(saved: SavedSession, content: str, *, at_rest: bool) -> UUID:
    """A run that ended, with a snapshot of its end, or only of a time while it was at work."""
    run_id = saved.run()
    (saved.workspace / "file").write_text(content)
    saved.conn.execute(
        "UPDATE snapshots SET seq = session_logs.last_seq, at_rest = %s FROM session_logs"
        " WHERE session_logs.session_id = snapshots.session_id AND snapshots.id = %s",
        (at_rest, saved.save(run_id)),
    )
    return run_id


def told(answered: Json) -> tuple[bool | None, str | None]:
    return answered.get("exact"), answered.get("exactNote")


def test_a_run_whose_own_end_is_not_saved_is_marked_in_every_answer(saved: SavedSession) -> None:
    ended, cut_off = saved_run(saved, "one\n", at_rest=True), saved_run(saved, "two\n", at_rest=False)
    queries: list[tuple[str, dict[str, str]]] = [("tree", {}), ("content", {"path": "file"}), ("search", {"q": "file"})]
    for verb, query in queries:
        assert told(saved.read(verb, runId=ended, **query)) == (True, None)
        assert told(saved.read(verb, runId=cut_off, **query)) == (False, NO_END_SAVED)
        assert told(saved.read(verb, **query)) == (None, None), "the newest state is that of no run"
    for verb, path in (("download", "file"), ("zip", "")):
        marks = [saved.get(verb, path=path, runId=run).headers["Runyard-Exact"] for run in (ended, cut_off)]
        assert marks == ["true", "false"]
    archive = saved.get("zip", runId=cut_off).get_data()
    assert zipfile.ZipFile(io.BytesIO(archive)).read("workspace/file") == b"two\n"


def test_a_comparison_names_the_side_whose_end_is_not_saved(saved: SavedSession) -> None:
    ended, cut_off = saved_run(saved, "one\n", at_rest=True), saved_run(saved, "two\n", at_rest=False)
    third = saved_run(saved, "three\n", at_rest=True)
    assert told(saved.read("diff", **{"from": ended, "to": third})) == (True, None)
    for more in ({}, {"path": "file"}):
        assert told(saved.read("diff", **{"from": ended, "to": cut_off, **more})) == (False, f"Of to: {NO_END_SAVED}")
    snapshots = [row[0] for row in saved.conn.execute("SELECT id FROM snapshots ORDER BY number").fetchall()]
    assert told(saved.read("diff", **{"from": snapshots[0], "to": snapshots[1]})) == (None, None)


def test_commands_say_once_that_the_end_is_not_saved(saved: SavedSession, terminal: Terminal, tmp_path: Path) -> None:
    ended, cut_off = saved_run(saved, "one\n", at_rest=True), saved_run(saved, "two\n", at_rest=False)
    for run, told_times in ((ended, 0), (cut_off, 1)):
        commands = (
            ("list", saved.id, "--run", run),
            ("list", saved.id, "--run", run, "--json"),
            ("search", saved.id, "file", "--run", run),
            ("get", saved.id, "file", "--run", run, "-o", tmp_path / f"file-{run}"),
            ("zip", saved.id, "--run", run, "-o", tmp_path / f"zip-{run}"),
        )
        for command in commands:
            assert terminal(*command).count(NO_END_SAVED) == told_times, command
    assert terminal("diff", saved.id, ended, cut_off) == [f"Of to: {NO_END_SAVED}"]
    assert (tmp_path / f"file-{cut_off}").read_text() == "two\n"
