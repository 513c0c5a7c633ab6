"""A file or folder of an older run put back into the workspace, and that undone."""

from __future__ import annotations

import os
from typing import Any

from werkzeug.test import TestResponse

from handlers.event_log import session_events
from schema.events import Envelope
from schema.run_ends import NO_END_SAVED
from schema.wire import Json
from tests.integration.functions.conftest import answer_json
from tests.integration.functions.files.conftest import Terminal
from tests.integration.functions.files.live.conftest import LiveSession


def restore(session: LiveSession, **body: Any) -> TestResponse:
    return session.api.post("/api/files/restore", {"sessionId": str(session.id), **body})


def put_back(session: LiveSession, **body: Any) -> Json:
    answer = restore(session, **body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer_json(answer)


def tree_of(session: LiveSession) -> dict[str, object]:
    """Every path of the workspace with what it holds."""
    return {
        str(path.relative_to(session.workspace)): path.read_text()
        if path.is_file()
        else None
        if path.is_dir()
        else "special"
        for path in session.workspace.rglob("*")
    }


def put_back_events(session: LiveSession) -> list[Envelope]:
    events = session_events(session.conn, session.id, after=0, limit=900)
    return [event for event in events if event.type == "workspace.put_back"]


def two_runs(session: LiveSession) -> tuple[str, str]:
    first = session.say("run: mkdir -p src/deep; echo one > src/a; echo keep > src/deep/b; echo 1 > note")
    session.wait_until_saved()
    second = session.say("run: echo two > src/a; rm -r src/deep; mkdir src/new; echo new > src/new/c; rm note")
    session.wait_until_saved()
    return str(first), str(second)


def test_a_file_comes_back_and_the_same_verb_undoes_it(live: LiveSession) -> None:
    first, second = two_runs(live)
    before = tree_of(live)
    done = put_back(live, runId=first, path="src/a")
    assert (done["files"], done["removed"]) == (1, 0)
    assert tree_of(live) == {**before, "src/a": "one\n"}
    assert live.read("content", path="src/a", at="saved")["text"] == "one\n"
    assert live.read("content", path="src/a", runId=second)["text"] == "two\n"
    [event] = put_back_events(live)
    assert event.author.startswith("user:")
    assert [done.get("exact"), event.data.get("exact"), event.data.get("exactNote")] == [True, True, None]
    assert (event.data["path"], event.data["undoSnapshotId"]) == ("src/a", done["undo"]["snapshot"])
    put_back(live, **{name: value for name, value in done["undo"].items() if name != "sessionId"})
    assert tree_of(live) == before
    assert "exact" not in put_back_events(live)[-1].data, "an undo names a snapshot, and no run"


def test_what_was_put_back_is_marked_when_its_run_has_no_saved_end(live: LiveSession, terminal: Terminal) -> None:
    first, _ = two_runs(live)
    live.conn.execute("UPDATE snapshots SET at_rest = false WHERE run_id = %s", (first,))
    done = put_back(live, runId=first, path="src/a")
    assert (live.workspace / "src" / "a").read_text() == "one\n"
    for told in (done, put_back_events(live)[-1].data):
        assert (told["exact"], told["exactNote"]) == (False, NO_END_SAVED)
    said = terminal("restore", live.id, "note", "--run", first)
    assert (said[0], len(said), said[1].startswith("Undo: ")) == (NO_END_SAVED, 2, True)


def test_a_folder_becomes_as_it_was_and_unsaved_kinds_stay(live: LiveSession) -> None:
    first, _ = two_runs(live)
    os.mkfifo(live.workspace / "src" / "new" / "never-saved")
    before = tree_of(live)
    done = put_back(live, runId=first, path="src")
    assert (done["files"], done["removed"]) == (2, 1)
    now = tree_of(live)
    assert (now["src/a"], now["src/deep/b"], "src/new/c" in now) == ("one\n", "keep\n", False)
    assert now["src/new/never-saved"] == "special"
    put_back(live, **{name: value for name, value in done["undo"].items() if name != "sessionId"})
    assert tree_of(live) == before


def test_a_folder_with_a_denied_file_is_left_as_it_is(live: LiveSession) -> None:
    first, _ = two_runs(live)
    before = tree_of(live)
    policy = {"effect": "deny", "pattern": "src/deep", "reason": "Ask an operator."}
    assert live.api.post("/api/admin/file-policies", policy).status_code == 201
    refused = restore(live, runId=first, path="src")
    assert (refused.status_code, answer_json(refused)["code"]) == (403, "file_denied")
    assert "Ask an operator." in answer_json(refused)["detail"]
    assert tree_of(live) == before
    put_back(live, runId=first, path="src/a")


def test_a_lost_file_comes_back_without_a_worker(live: LiveSession) -> None:
    first, _ = two_runs(live)
    removed = live.api.delete(f"/api/session-workers/{live.id}")
    assert removed.status_code == 200, removed.get_data(as_text=True)
    done = put_back(live, runId=first, path="note")
    assert (live.workspace / "note").read_text() == "1\n"
    put_back(live, **{name: value for name, value in done["undo"].items() if name != "sessionId"})
    assert not (live.workspace / "note").exists()
    assert restore(live, snapshot=done["undo"]["snapshot"], path="note").status_code == 404


def test_only_a_session_at_rest_gets_files_back(live: LiveSession, member: str) -> None:
    live.wait_until_saved()
    snapshot = live.read("tree", at="saved")["snapshotId"]
    run_id = live.begin("run: until [ -e go ]; do sleep 0.05; done")
    live.wait_for(run_id, "running")
    refused = restore(live, snapshot=snapshot, path="hello.txt")
    assert (refused.status_code, answer_json(refused)["code"]) == (409, "session_busy")
    assert answer_json(refused)["runId"] == str(run_id)
    (live.workspace / "go").touch()
    live.wait_for(run_id, "succeeded")
    stranger = type(live.api)(live.api.client, member)
    body = {"sessionId": str(live.id), "snapshot": snapshot, "path": "hello.txt"}
    assert stranger.post("/api/files/restore", body).status_code == 404
    for wrong in ({"path": ""}, {"path": "../x"}, {"path": "hello.txt", "runId": str(run_id)}):
        assert restore(live, **{"snapshot": snapshot, **wrong}).status_code == 422
    rows = answer_json(live.api.get(f"/api/admin/audit?sessionId={live.id}&action=restore"))["items"]
    assert {row["reason"] for row in rows} >= {"session_busy", "unknown_session"}


def test_a_link_in_the_way_leads_nothing_outside(live: LiveSession) -> None:
    first, _ = two_runs(live)
    outside = live.folder.root.parent / "outside"
    outside.mkdir()
    (live.workspace / "src" / "deep").symlink_to(outside)
    done = put_back(live, runId=first, path="src")
    assert (live.workspace / "src" / "deep" / "b").read_text() == "keep\n"
    assert not (live.workspace / "src" / "deep").is_symlink()
    assert list(outside.iterdir()) == []
    assert done["files"] >= 2
