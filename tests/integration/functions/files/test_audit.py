"""Every call about files leaves one row, which nobody changes; admins read them."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from jobs.object_store.s3 import Bucket
from tests.integration.functions.conftest import Api, answer_json
from tests.integration.functions.files.conftest import SavedSession
from tests.object_stores import RunningStore

VERBS = ("tree", "content", "download")


@pytest.fixture
def noted(saved: SavedSession) -> SavedSession:
    (saved.workspace / "note").write_text("12345")
    saved.save()
    return saved


@pytest.fixture
def bucket(object_store: RunningStore) -> Bucket:
    return object_store.open()


def test_calls_are_audited_with_what_was_sent(noted: SavedSession) -> None:
    for verb in VERBS:
        assert noted.get(verb, path="" if verb == "tree" else "note").status_code == 200
    noted.get_with({"Range": "bytes=1-2"}, "download", path="note")
    noted.get("content", path="missing")
    rows = [(row["action"], row["path"], row.get("bytes"), row["allowed"], row["reason"]) for row in noted.audited()]
    assert rows == [
        ("tree", "", None, True, "ok"),
        ("content", "note", 5, True, "ok"),
        ("download", "note", 5, True, "ok"),
        ("download", "note", 2, True, "ok"),
        ("content", "missing", None, True, "unknown_path"),
    ]
    assert {row["snapshotId"] for row in noted.audited()} == {str(noted.disk.head)}
    assert {row["userName"] for row in noted.audited()} == {"admin"}


def test_another_users_files_are_not_there_and_the_call_is_audited(noted: SavedSession, member: str) -> None:
    admin, noted.api.token = noted.api.token, member
    for verb in VERBS:
        for chosen in ({}, {"snapshot": noted.disk.head}, {"runId": uuid4()}):
            refused = noted.get(verb, path="note", **chosen)
            assert (refused.status_code, answer_json(refused)["code"]) == (404, "unknown_session")
    assert noted.api.get("/api/admin/audit").status_code == 403
    noted.api.token = admin
    rows = noted.audited()
    assert len(rows) == 3 * len(VERBS)
    assert {(row["userName"], row["allowed"], row["reason"], row.get("bytes")) for row in rows} == {
        ("mia", False, "unknown_session", None)
    }


def test_another_sessions_snapshot_is_not_there(noted: SavedSession, make_saved: object) -> None:
    assert callable(make_saved)
    other: SavedSession = make_saved()
    other.save()
    for verb in VERBS:
        assert noted.get(verb, path="note", snapshot=other.disk.head).status_code == 404


def test_calls_that_are_refused_before_they_are_understood_are_audited(
    noted: SavedSession, api: Api, conn: psycopg.Connection
) -> None:
    assert noted.get("tree", root="elsewhere").status_code == 422
    scoped = answer_json(api.post("/api/me/tokens", {"label": "few", "scopes": ["runs:read"]}))
    admin, api.token = api.token, scoped["token"]
    assert noted.get("tree").status_code == 403
    api.token = "nobody"
    assert noted.get("tree").status_code == 401
    api.token = admin
    found = [(row.get("userName"), row["allowed"], row["reason"]) for row in noted.audited()]
    assert found == [("admin", False, "invalid"), ("admin", False, "forbidden"), (None, False, "unauthenticated")]
    assert api.get("/api/files/content?sessionId=no&path=a%00b").status_code == 422
    last = conn.execute("SELECT session_id, path, allowed FROM file_audit ORDER BY at DESC LIMIT 1").fetchone()
    assert last == (None, "a\ufffdb", False)


def test_a_call_that_fails_for_the_store_is_audited(noted: SavedSession, bucket: Bucket) -> None:
    bucket.delete([stored.key for stored in bucket.list("") if "/packs/" in stored.key])
    for verb in ("content", "download"):
        failed = noted.get(verb, path="note")
        assert (failed.status_code, answer_json(failed)["code"]) == (503, "object_missing")
    assert [(row["allowed"], row["reason"]) for row in noted.audited()] == [(True, "object_missing")] * 2


def test_a_damaged_file_is_never_told_as_whole(noted: SavedSession, bucket: Bucket) -> None:
    [pack] = [stored.key for stored in bucket.list("") if "/packs/" in stored.key]
    bucket.write(pack, b"damaged")
    failed = noted.get("download", path="note")
    assert (failed.status_code, answer_json(failed)["code"]) == (503, "object_damaged")


@pytest.mark.parametrize(
    "change", ["UPDATE file_audit SET reason = 'other'", "DELETE FROM file_audit", "TRUNCATE file_audit"]
)
def test_the_audit_is_never_changed(noted: SavedSession, conn: psycopg.Connection, change: str) -> None:
    noted.get("tree")
    with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
        conn.execute(change)
    assert len(noted.audited()) == 1


def test_the_audit_is_filtered_and_paged(noted: SavedSession, api: Api) -> None:
    for name in ("one", "two", "three", "note"):
        noted.get("content", path=name)
    noted.get("tree")
    everything = answer_json(api.get("/api/admin/audit?limit=500"))["items"]
    seen, cursor = [], ""
    while True:
        page = answer_json(api.get(f"/api/admin/audit?limit=2{cursor}"))
        seen += [row["id"] for row in page["items"]]
        if "nextCursor" not in page:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == [row["id"] for row in everything]

    def counted(query: str) -> int:
        return len(answer_json(api.get(f"/api/admin/audit?{query}"))["items"])

    me = answer_json(api.get("/api/me"))["userId"]
    assert counted("action=content") == 4
    assert counted("q=TWO") == 1
    assert counted("allowed=false") == 0
    assert counted(f"actor={me}") == 5
    assert counted(f"actor={uuid4()}") == 0
    assert counted("to=2020-01-01T00:00:00Z") == 0
    assert counted("from=2020-01-01T00:00:00Z") == 5
