"""What was saved and put back of a session, as its owner sees it and nobody else."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.functions.conftest import Api, answer_json

pytestmark = pytest.mark.both_postgres
SKIPPED = '[{"root": "workspace", "path": "sock", "reason": "socket"}]'


@pytest.fixture
def session_id(api: Api) -> UUID:
    return UUID(answer_json(api.post("/api/sessions", {"title": "saved"}))["sessionId"])


def save(conn: psycopg.Connection, session_id: UUID, number: int) -> UUID:
    snapshot_id = uuid4()
    conn.execute(
        "INSERT INTO snapshots (id, session_id, number, epoch, reason, seq, at_rest, files, bytes, changed,"
        " uploaded_bytes, skipped, objects, manifest_digest, created_at)"
        " VALUES (%s, %s, %s, 1, 'run', 5, true, 3, 9, 2, 7, %s, ARRAY['a', 'b'], %s,"
        " now() + make_interval(secs => %s))",
        (snapshot_id, session_id, number, SKIPPED, "0" * 64, number),
    )
    return snapshot_id


def test_snapshots_are_listed_newest_first_by_pages(api: Api, conn: psycopg.Connection, session_id: UUID) -> None:
    made = [str(save(conn, session_id, number)) for number in range(1, 6)]
    seen: list[str] = []
    path = f"/api/sessions/{session_id}/snapshots?limit=2"
    page = answer_json(api.get(path))
    first = page["items"][0]
    assert (first["number"], first["reason"], first["files"], first["bytes"], first["changed"]) == (5, "run", 3, 9, 2)
    assert first["skipped"] == [{"root": "workspace", "path": "sock", "reason": "socket"}]
    while True:
        seen += [item["snapshotId"] for item in page["items"]]
        if "nextCursor" not in page:
            break
        page = answer_json(api.get(f"{path}&cursor={page['nextCursor']}"))
    assert seen == made[::-1]


def test_a_snapshot_is_shown_with_what_it_came_to(api: Api, conn: psycopg.Connection, session_id: UUID) -> None:
    snapshot_id = save(conn, session_id, 1)
    shown = answer_json(api.get(f"/api/sessions/{session_id}/snapshots/{snapshot_id}"))
    assert (shown["epoch"], shown["seq"], shown["atRest"], shown["uploadedBytes"], shown["objects"]) == (
        1,
        5,
        True,
        7,
        2,
    )
    assert api.get(f"/api/sessions/{session_id}/snapshots/{uuid4()}").status_code == 404


def test_restores_are_listed_with_their_receipts(api: Api, conn: psycopg.Connection, session_id: UUID) -> None:
    snapshot_id = save(conn, session_id, 1)
    conn.execute(
        "INSERT INTO restores (session_id, epoch, snapshot_id, state, receipt, finished_at)"
        """ VALUES (%s, 2, %s, 'done', '{"files": 3}', now())""",
        (session_id, snapshot_id),
    )
    conn.execute("INSERT INTO restores (session_id, epoch, state, error) VALUES (%s, 3, 'failed', 'no')", (session_id,))
    items = answer_json(api.get(f"/api/sessions/{session_id}/restores"))["items"]
    by_state = {item["state"]: item for item in items}
    assert by_state["done"]["receipt"] == {"files": 3}
    assert by_state["done"]["snapshotId"] == str(snapshot_id)
    assert by_state["failed"]["error"] == "no"


def test_another_users_snapshots_are_not_there(
    api: Api, conn: psycopg.Connection, session_id: UUID, member: str
) -> None:
    snapshot_id = save(conn, session_id, 1)
    api.token = member
    for path in ("snapshots", f"snapshots/{snapshot_id}", "restores"):
        assert api.get(f"/api/sessions/{session_id}/{path}").status_code == 404
    assert api.post("/api/reconcile/sync").status_code == 403
