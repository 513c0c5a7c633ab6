"""File policies on every route about files: denied paths are hidden, refused with a reason, and audited."""

from __future__ import annotations

import io
import zipfile
from uuid import UUID, uuid4

import psycopg
import pytest

from handlers.files.policy_changes import MOST_POLICIES
from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json
from tests.integration.functions.files.conftest import SavedSession

POLICIES = "/api/admin/file-policies"


def deny(api: Api, pattern: str, **more: object) -> Json:
    return set_policy(api, "deny", pattern, **more)


def set_policy(api: Api, effect: str, pattern: str, **more: object) -> Json:
    done = api.post(POLICIES, {"effect": effect, "pattern": pattern, **more})
    assert done.status_code == 201, done.get_data(as_text=True)
    return answer_json(done)


@pytest.fixture
def keeping(saved: SavedSession) -> SavedSession:
    """A session with a secret beside a note, in two runs' snapshots."""
    (saved.workspace / "secrets").mkdir()
    (saved.workspace / "secrets" / "key.txt").write_text("k1")
    (saved.workspace / "note.txt").write_text("n1")
    first = saved.save(saved.run())
    (saved.workspace / "secrets" / "key.txt").write_text("k2, longer")
    (saved.workspace / "note.txt").write_text("n2, longer")
    saved.save(saved.run())
    saved.first = first
    return saved


def test_a_denied_path_is_hidden_and_refused_on_every_route(keeping: SavedSession) -> None:
    deny(keeping.api, "secrets", reason="Keys are for operators.")
    top = keeping.read("tree")
    assert ([item["name"] for item in top["items"]], top["hidden"]) == (["note.txt"], 1)
    sides = {"from": keeping.first, "to": keeping.disk.head}
    refused = {
        "tree": keeping.get("tree", path="secrets"),
        "content": keeping.get("content", path="secrets/key.txt"),
        "download": keeping.get("download", path="secrets/key.txt"),
        "of a snapshot": keeping.get("download", path="secrets/key.txt", snapshot=keeping.first),
        "zip": keeping.get("zip", path="secrets"),
        "diff": keeping.get("diff", path="secrets/key.txt", **sides),
    }
    assert {verb: (done.status_code, answer_json(done)["code"]) for verb, done in refused.items()} == dict.fromkeys(
        refused, (403, "file_denied")
    )
    assert answer_json(refused["content"])["detail"] == "A file policy denies this path: Keys are for operators."
    rows = [(row["action"], row.get("path"), row["allowed"], row["reason"]) for row in keeping.audited()]
    assert rows[1:] == [
        ("tree", "secrets", False, "file_denied"),
        ("content", "secrets/key.txt", False, "file_denied"),
        ("download", "secrets/key.txt", False, "file_denied"),
        ("download", "secrets/key.txt", False, "file_denied"),
        ("zip", "secrets", False, "file_denied"),
        ("diff", "secrets/key.txt", False, "file_denied"),
    ]
    assert [item["path"] for item in keeping.read("search", q="t")["items"]] == ["note.txt"]
    assert [file["path"] for file in keeping.read("diff", **sides)["files"]] == ["note.txt"]
    assert keeping.read("content", path="note.txt")["text"] == "n2, longer"


def test_an_archive_leaves_out_what_is_denied_and_says_so(keeping: SavedSession) -> None:
    deny(keeping.api, "secrets")
    with zipfile.ZipFile(io.BytesIO(keeping.get("zip").get_data())) as archive:
        assert archive.namelist() == ["workspace/note.txt"]
        assert archive.comment == b"1 files are left out, because a policy denies them."


def test_exceptions_for_a_user_and_for_a_path_win(keeping: SavedSession) -> None:
    me = answer_json(keeping.api.get("/api/me"))["userId"]
    deny(keeping.api, "**")
    deny(keeping.api, "secrets", role="admin")
    assert keeping.get("content", path="note.txt").status_code == 403
    set_policy(keeping.api, "allow", "secrets/key.txt", userId=me)
    assert keeping.read("content", path="secrets/key.txt")["text"] == "k2, longer"
    assert [item["name"] for item in keeping.read("tree")["items"]] == ["secrets"]
    assert [item["name"] for item in keeping.read("tree", path="secrets")["items"]] == ["key.txt"]


def test_policies_of_others_roots_and_apps_decide_nothing_here(keeping: SavedSession, member: str) -> None:
    del member
    app_id = keeping.conn.execute("SELECT app_id FROM sessions WHERE id = %s", (keeping.id,)).fetchone()
    [mia] = keeping.conn.execute("SELECT id FROM users WHERE name = 'mia'").fetchall()
    other = keeping.conn.execute("INSERT INTO apps (name, provider) VALUES ('other', 'demo') RETURNING id").fetchone()
    keeping.conn.commit()
    assert app_id is not None
    assert other is not None
    deny(keeping.api, "note.txt", role="member")
    deny(keeping.api, "note.txt", userId=str(mia[0]))
    deny(keeping.api, "note.txt", root="agent")
    deny(keeping.api, "note.txt", appId=str(other[0]))
    assert keeping.get("content", path="note.txt").status_code == 200
    deny(keeping.api, "note.txt", appId=str(app_id[0]))
    assert keeping.get("content", path="note.txt").status_code == 403


def test_another_users_session_stays_unknown_whatever_a_policy_says(keeping: SavedSession, member: str) -> None:
    deny(keeping.api, "**")
    keeping.api.token = member
    for verb in ("tree", "content", "download", "zip"):
        assert answer_json(keeping.get(verb, path="secrets"))["code"] == "unknown_session"


def test_policies_are_listed_replaced_and_deleted(api: Api, keeping: SavedSession) -> None:
    first = deny(api, "/secrets/", reason="one")
    again = deny(api, "secrets", reason="two")
    other = set_policy(api, "allow", "docs/**", role="member")
    assert (again["policyId"], again["pattern"], again["createdAt"]) == (
        first["policyId"],
        "secrets",
        first["createdAt"],
    )
    page = answer_json(api.get(f"{POLICIES}?limit=1"))
    assert [item["policyId"] for item in page["items"]] == [other["policyId"]]
    rest = answer_json(api.get(f"{POLICIES}?cursor={page['nextCursor']}"))["items"]
    assert [(item["pattern"], item["reason"]) for item in rest] == [("secrets", "two")]
    assert keeping.get("tree", path="secrets").status_code == 403
    assert api.delete(f"{POLICIES}/{first['policyId']}").status_code == 204
    assert api.delete(f"{POLICIES}/{first['policyId']}").status_code == 404
    assert keeping.get("tree", path="secrets").status_code == 200
    rows = answer_json(api.get("/api/admin/audit?action=policies"))["items"]
    assert [(row.get("path"), row["allowed"], row["reason"]) for row in reversed(rows)] == [
        ("/secrets/", True, "ok"),
        ("secrets", True, "ok"),
        ("docs/**", True, "ok"),
        (None, True, "ok"),
        (None, True, "ok"),
        ("secrets", True, "ok"),
        (None, True, "unknown_policy"),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"effect": "deny", "pattern": "a/../b"}, 422, "bad_pattern"),
        ({"effect": "deny", "pattern": "a**"}, 422, "bad_pattern"),
        ({"effect": "maybe", "pattern": "a"}, 422, "invalid"),
        ({"effect": "deny", "pattern": "a", "userId": str(uuid4())}, 404, "unknown_user"),
        ({"effect": "deny", "pattern": "a", "appId": str(uuid4())}, 404, "unknown_app"),
    ],
)
def test_policies_that_mean_nothing_are_refused(api: Api, body: Json, status: int, code: str) -> None:
    refused = api.post(POLICIES, body)
    assert (refused.status_code, answer_json(refused)["code"]) == (status, code)
    assert answer_json(api.get(POLICIES))["items"] == []


def test_members_neither_see_nor_change_policies(api: Api, member: str) -> None:
    policy = deny(api, "secrets")
    api.token = member
    assert api.get(POLICIES).status_code == 403
    assert api.post(POLICIES, {"effect": "allow", "pattern": "**"}).status_code == 403
    assert api.delete(f"{POLICIES}/{UUID(policy['policyId'])}").status_code == 403


def test_policies_at_the_limit_and_one_beyond(api: Api, conn: psycopg.Connection) -> None:
    conn.execute(
        "INSERT INTO file_policies (effect, pattern) SELECT 'deny', 'p' || i FROM generate_series(2, %s) AS i",
        (MOST_POLICIES,),
    )
    conn.commit()
    assert deny(api, "the last")
    done = api.post(POLICIES, {"effect": "deny", "pattern": "one more"})
    assert (done.status_code, answer_json(done)["code"]) == (409, "too_many_policies")
