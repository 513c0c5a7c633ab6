"""The audit is exported whole, as JSON Lines and as CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json

import psycopg
import pytest

from functions.files.audit_export import PAGE_ROWS
from tests.integration.functions.conftest import Api, answer_json
from tests.integration.functions.files.conftest import SavedSession

EXPORT = "/api/admin/audit/export"


@pytest.fixture
def called(saved: SavedSession) -> SavedSession:
    (saved.workspace / "note").write_text("12345")
    saved.save()
    for name in ("note", "missing", "=1+1", "+x", "-x", "@x", "two\nlines", 'quo"te,', "grün"):
        saved.get("content", path=name)
    return saved


def test_json_lines_are_the_rows_of_the_list(called: SavedSession) -> None:
    exported = called.api.get(EXPORT)
    assert (exported.status_code, exported.headers["Content-Type"]) == (200, "application/jsonl")
    assert "attachment" in exported.headers["Content-Disposition"]
    lines = [json.loads(line) for line in exported.get_data(as_text=True).splitlines()]
    listed = answer_json(called.api.get("/api/admin/audit?limit=500"))["items"]
    assert listed[0]["action"] == "export"
    assert lines == [row for row in listed if row["action"] != "export"]
    assert len(lines) == 9


def test_an_export_is_filtered_as_the_list_is(called: SavedSession) -> None:
    refused = called.api.get(f"{EXPORT}?q=MISS&sessionId={called.id}&format=jsonl").get_data(as_text=True)
    assert [json.loads(line)["path"] for line in refused.splitlines()] == ["missing"]
    assert called.api.get(f"{EXPORT}?to=2020-01-01T00:00:00Z").get_data() == b""
    assert called.api.get(f"{EXPORT}?format=xml").status_code == 422


def test_csv_is_read_back_whole_and_holds_no_formula(called: SavedSession) -> None:
    exported = called.api.get(f"{EXPORT}?format=csv").get_data(as_text=True)
    rows = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert [row["path"] for row in reversed(rows)] == [
        "note",
        "missing",
        "'=1+1",
        "'+x",
        "'-x",
        "'@x",
        "two\nlines",
        'quo"te,',
        "grün",
    ]
    assert {(row["action"], row["allowed"], row["sessionId"]) for row in rows} == {("content", "true", str(called.id))}
    assert [row["bytes"] for row in reversed(rows)][:2] == ["5", ""]


def test_an_export_of_many_pages_has_every_row_once(api: Api, conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO file_audit (at, action, path, allowed, reason)"
        " SELECT timestamptz '2026-01-01Z' + make_interval(secs => n / 3), 'tree', n::text, true, 'ok'"
        " FROM generate_series(1, %s) AS n",
        (2 * PAGE_ROWS + 7,),
    )
    lines = api.get(f"{EXPORT}?action=tree").get_data(as_text=True).splitlines()
    paths = [int(json.loads(line)["path"]) for line in lines]
    assert sorted(paths) == list(range(1, 2 * PAGE_ROWS + 8))
    assert [path // 3 for path in paths] == sorted((path // 3 for path in paths), reverse=True)


def test_members_export_nothing_and_their_try_is_audited(called: SavedSession, member: str) -> None:
    admin, called.api.token = called.api.token, member
    assert called.api.get(EXPORT).status_code == 403
    called.api.token = admin
    [row] = answer_json(called.api.get("/api/admin/audit?action=export"))["items"]
    assert (row["userName"], row["allowed"], row["reason"]) == ("mia", False, "forbidden")
