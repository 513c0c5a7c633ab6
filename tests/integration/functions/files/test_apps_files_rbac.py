"""Apps, files and roles: who lists and downloads which files of a session, and what the audit says of each try."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from handlers.access.tokens import issue_token
from handlers.access.users import add_user
from handlers.apps.apps import add_app
from schema.rows import Role
from schema.wire import Json
from tests.integration.executor.snapshotter.session_disk import SessionDisk
from tests.integration.functions.conftest import Api, answer_json
from tests.integration.functions.files.conftest import LinksOf, SavedSession
from tests.object_stores import RunningStore

APPS = ("notes", "payroll")


@dataclass
class Company:
    """Ada and Bob are members, Olga is an operator; the administrator's token is the API's own. Ada has a session in
    each app, and each holds the same files."""

    api: Api
    tokens: dict[str, str]
    ids: dict[str, UUID]
    apps: dict[str, UUID]
    sessions: dict[str, SavedSession]

    def call(self, person: str, verb: str, app: str, path: str) -> tuple[int, str]:
        """Return the status and the problem's code, or `ok`."""
        saved = self.sessions[app]
        saved.api = Api(self.api.client, self.tokens[person])
        found = saved.get(verb, path=path)
        return found.status_code, "ok" if found.status_code < 400 else answer_json(found)["code"]

    def tree_of(self, reader: str, owner: str, path: str) -> tuple[int, list[str]]:
        api = Api(self.api.client, self.tokens[reader])
        found = api.get(f"/api/files/tree?userId={self.ids[owner]}&path={path}")
        names = [item["name"] for item in answer_json(found)["items"]] if found.status_code == 200 else []
        return found.status_code, names

    def audited(self, app: str) -> list[Json]:
        page = answer_json(self.api.get(f"/api/admin/audit?sessionId={self.sessions[app].id}&limit=500"))
        return list(reversed(page["items"]))


@pytest.fixture
def company(api: Api, conn: psycopg.Connection, object_store: RunningStore, tmp_path: Path) -> Company:
    roles: dict[str, Role] = {"ada": "member", "bob": "member", "olga": "operator"}
    with conn.transaction():
        ids = {name: add_user(conn, name, role).id for name, role in roles.items()}
        tokens = {name: issue_token(conn, name, "test") for name in roles}
        apps = {name: add_app(conn, name, "demo").id for name in APPS}
    sessions = {}
    links = LinksOf(object_store.open())
    for app in APPS:
        ada = Api(api.client, tokens["ada"])
        made = answer_json(ada.post("/api/sessions", {"title": app, "appId": str(apps[app])}))
        disk = SessionDisk(tmp_path / str(uuid4()), links, UUID(made["sessionId"]))  # type: ignore[arg-type]
        sessions[app] = SavedSession(ada, conn, disk)
        (disk.workspace / "reports").mkdir()
        (disk.workspace / "reports" / "june.txt").write_text("june")
        (disk.workspace / "salaries.csv").write_text("ada,1")
        sessions[app].save()
    return Company(api, {**tokens, "admin": api.token}, ids, apps, sessions)


@pytest.mark.parametrize("verb", ["tree", "content", "download", "zip"])
def test_files_are_their_owners_and_the_admins(company: Company, verb: str) -> None:
    path = "reports" if verb in ("tree", "zip") else "reports/june.txt"
    tries = {person: company.call(person, verb, "notes", path) for person in ("ada", "admin", "bob", "olga")}
    assert tries == {
        "ada": (200, "ok"),
        "admin": (200, "ok"),
        "bob": (404, "unknown_session"),
        "olga": (404, "unknown_session"),
    }
    rows = [(row["userName"], row["action"], row["allowed"], row["reason"]) for row in company.audited("notes")]
    assert rows == [
        ("ada", verb, True, "ok"),
        ("admin", verb, True, "ok"),
        ("bob", verb, False, "unknown_session"),
        ("olga", verb, False, "unknown_session"),
    ]


def test_a_policy_of_an_app_holds_in_its_sessions_alone_and_says_why(company: Company) -> None:
    policy = {"effect": "deny", "pattern": "salaries.csv", "appId": str(company.apps["payroll"]), "reason": "Payroll."}
    assert company.api.post("/api/admin/file-policies", policy).status_code == 201
    assert company.call("ada", "download", "payroll", "salaries.csv") == (403, "file_denied")
    assert company.call("ada", "download", "payroll", "reports/june.txt") == (200, "ok")
    assert company.call("ada", "download", "notes", "salaries.csv") == (200, "ok")
    exception = {"effect": "allow", "pattern": "salaries.csv", "role": "admin"}
    assert company.api.post("/api/admin/file-policies", exception).status_code == 201
    assert company.call("admin", "download", "payroll", "salaries.csv") == (200, "ok")
    rows = [(row["userName"], row["path"], row["allowed"], row["reason"]) for row in company.audited("payroll")]
    assert rows == [
        ("ada", "salaries.csv", False, "file_denied"),
        ("ada", "reports/june.txt", True, "ok"),
        ("admin", "salaries.csv", True, "ok"),
    ]


def test_a_users_sessions_are_folders_for_them_and_for_admins(company: Company) -> None:
    both = sorted(str(company.sessions[app].id) for app in APPS)
    for reader in ("ada", "admin"):
        status, names = company.tree_of(reader, "ada", "/")
        assert (status, sorted(names)) == (200, both)
        inside = company.tree_of(reader, "ada", f"/{company.sessions['notes'].id}/reports")
        assert inside == (200, ["june.txt"])
    for reader in ("bob", "olga"):
        assert company.tree_of(reader, "ada", "/") == (404, [])
        assert company.tree_of(reader, reader, "/") == (200, [])
        assert company.tree_of(reader, reader, f"/{company.sessions['notes'].id}") == (404, [])


def test_a_policy_holds_also_where_sessions_are_folders(company: Company) -> None:
    policy = {"effect": "deny", "pattern": "reports", "userId": str(company.ids["ada"])}
    assert company.api.post("/api/admin/file-policies", policy).status_code == 201
    inside = f"/{company.sessions['notes'].id}"
    assert company.tree_of("ada", "ada", inside) == (200, ["salaries.csv"])
    assert company.tree_of("ada", "ada", f"{inside}/reports") == (403, [])
    assert company.tree_of("admin", "ada", f"{inside}/reports") == (200, ["june.txt"])


@pytest.mark.parametrize("path", ["../salaries.csv", "/etc/passwd", "reports/../../x", "reports/june.txt/../.."])
def test_no_path_leads_outside(company: Company, path: str) -> None:
    for verb in ("tree", "content", "download", "zip"):
        assert company.call("ada", verb, "notes", path)[0] in (404, 422)
