"""Files that a user puts into a workspace: with a worker and without one, and attached to a prompt."""

from __future__ import annotations

import io
from collections.abc import Callable
from urllib.parse import urlencode
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from handlers.event_log import run_events, session_events
from schema.runtime_manifest import read_runtime_manifest
from schema.sql import jsonb
from schema.wire import Json
from tests.integration.functions.conftest import answer_json
from tests.integration.functions.files.live.conftest import LiveSession
from tests.integration.jobs.waiting import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


def upload(session: LiveSession, name: str, content: bytes) -> TestResponse:
    url = f"/api/sessions/{session.id}/uploads?{urlencode({'name': name})}"
    return session.api.post(url, data=content, headers={"Content-Type": "application/octet-stream"})


def uploaded(session: LiveSession, name: str, content: bytes) -> Json:
    answer = upload(session, name, content)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer_json(answer)


def said(session: LiveSession, run_id: UUID) -> str:
    return "".join(
        str(event.data["text"])
        for event in run_events(session.conn, run_id, after=0, limit=1000)
        if event.type == "message.delta"
    )


def test_an_upload_is_in_the_live_workspace_at_once_and_is_saved(live: LiveSession) -> None:
    live.wait_until_saved()
    kept = uploaded(live, "table.csv", b"a,b\n1,2\n")
    assert kept["placed"] is True
    assert (live.workspace / kept["path"]).read_bytes() == b"a,b\n1,2\n"
    assert live.read("content", path=kept["path"])["kind"] == "csv"

    def is_forgotten() -> bool:
        """Its bytes are in a snapshot by now, and no longer in the database."""
        row = live.conn.execute("SELECT content IS NULL FROM uploads").fetchone()
        return row == (True,)

    wait_until(is_forgotten, lambda: live.job_worker.log.read_text()[-3000:], seconds=60)
    assert live.read("content", path=kept["path"], at="saved")["text"] == "a,b\n1,2\n"
    [event] = [
        event for event in session_events(live.conn, live.id, after=0, limit=500) if event.type == "workspace.uploaded"
    ]
    assert (event.data["path"], event.data["size"]) == (kept["path"], 8)


def test_an_upload_without_a_worker_waits_for_the_next_run(make_live: Callable[[], LiveSession]) -> None:
    session = make_live()
    kept = uploaded(session, "notes.txt", b"read me")
    image = uploaded(session, "picture.png", PNG)
    assert (kept["placed"], image["mimeType"]) == (False, "image/png")
    run_id = session.say(f"read {kept['path']}", attachments=[kept["path"], image["path"]])
    assert "read me" in said(session, run_id)
    assert "I see an image of the type image/png." in said(session, run_id)
    assert (session.workspace / image["path"]).read_bytes() == PNG
    queued = run_events(session.conn, run_id, after=0, limit=1)[0]
    assert queued.data["attachments"] == [kept["path"], image["path"]]


def test_an_upload_outlives_its_worker_until_a_snapshot_has_it(live: LiveSession) -> None:
    """The volume goes before the save: the next one gets the file again."""
    live.conn.execute("UPDATE session_workers SET sync_failures = 1 WHERE session_id = %s", (live.id,))
    live.conn.execute(
        "CREATE FUNCTION no_save() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not now'; END $$;"
        "CREATE TRIGGER no_save BEFORE INSERT ON snapshots FOR EACH ROW EXECUTE FUNCTION no_save()"
    )
    kept = uploaded(live, "only.txt", b"the only copy")
    assert kept["placed"] is True
    live.conn.execute("DROP FUNCTION no_save CASCADE")
    refused = live.api.delete(f"/api/session-workers/{live.id}?force=lose-unsaved-changes&reason=test")
    assert refused.status_code == 200, refused.get_data(as_text=True)
    live.say("say: back")
    assert (live.workspace / kept["path"]).read_bytes() == b"the only copy"


def test_an_upload_that_no_snapshot_holds_is_kept(live: LiveSession) -> None:
    """The app leaves logs out of its snapshots."""
    ignoring = jsonb(read_runtime_manifest({"ignore": ["*.log"]}).to_json())
    live.conn.execute("UPDATE apps SET manifest = %s", (ignoring,))
    left_out, saved = uploaded(live, "build.log", b"the only copy"), uploaded(live, "build.txt", b"saved")

    def kept() -> list[str]:
        return [path for (path,) in live.conn.execute("SELECT path FROM uploads WHERE content IS NOT NULL").fetchall()]

    wait_until(lambda: saved["path"] not in kept(), lambda: live.job_worker.log.read_text()[-3000:], seconds=60)
    assert kept() == [left_out["path"]]


HOSTILE = [
    "../../../etc/cron.d/x",
    "a\nb.txt",
    "..",
    "C:\\autoexec.bat",
    "x" * 900 + ".png",
    "\u202egpj.exe",
    "~/.ssh/id",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_become_plain_ones(live: LiveSession, name: str) -> None:
    kept = uploaded(live, name, b"x")
    folder, _, last = kept["path"].rpartition("/")
    assert folder.startswith("uploads/")
    assert kept["placed"]
    assert {path.name for path in (live.workspace / folder).iterdir()} == {last}
    assert last.isprintable()
    assert last not in (".", "..")


def test_a_planted_link_leads_no_upload_outside(live: LiveSession) -> None:
    outside = live.folder.root.parent / "outside"
    outside.mkdir()
    (live.workspace / "uploads").symlink_to(outside)
    kept = uploaded(live, "x.txt", b"kept")
    assert kept["placed"] is False
    assert list(outside.iterdir()) == []
    (live.workspace / "uploads").unlink()
    live.say("say: go on")
    assert (live.workspace / kept["path"]).read_bytes() == b"kept"


def test_what_is_no_upload_is_refused(live: LiveSession, member: str) -> None:
    assert upload(live, "big", bytes(10 * 1024 * 1024 + 1)).status_code == 413
    empty = live.api.post(f"/api/sessions/{live.id}/uploads", data={"other": "x"}, content_type="multipart/form-data")
    assert (empty.status_code, answer_json(empty)["code"]) == (422, "no_file")
    body = {"prompt": "say: hi", "sessionId": str(live.id), "attachments": ["hello.txt"]}
    unknown = live.api.post("/api/runs/start", body)
    assert (unknown.status_code, answer_json(unknown)["code"]) == (422, "unknown_attachment")
    stranger = type(live.api)(live.api.client, member)
    assert stranger.post(f"/api/sessions/{live.id}/uploads?name=x", data=b"x").status_code == 404


def test_a_form_uploads_its_file(live: LiveSession) -> None:
    content = b"\n" * 200_000  # a line end at the end of each piece that the server reads
    answer = live.api.post(
        f"/api/sessions/{live.id}/uploads",
        data={"file": (io.BytesIO(content), "form.bin")},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 201, answer.get_data(as_text=True)
    kept = answer_json(answer)
    assert kept["path"].endswith("/form.bin")
    assert live.get("download", path=kept["path"]).get_data() == content
    rows = answer_json(live.api.get(f"/api/admin/audit?sessionId={live.id}&action=uploads"))["items"]
    assert [(row["bytes"], row["reason"]) for row in rows] == [(200_000, "ok")]
