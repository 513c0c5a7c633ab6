"""Nobody gets in without a credential, nobody beyond their role, and nobody sees what is another's."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.http.auth import PUBLIC, permission_of
from handlers.access.permissions import Actor, Permission, require
from handlers.access.users import disable_user
from schema.errors import Forbidden
from tests.integration.functions.conftest import Api, Driver, answer_json

pytestmark = pytest.mark.both_postgres_in_full
OPERATORS_ONLY = [
    ("POST", "/api/runs/queue/drain"),
    ("POST", "/api/reconcile/runs"),
    ("POST", "/api/reconcile/sync"),
    ("GET", "/api/admin/audit"),
    ("GET", "/api/admin/audit/export"),
    ("GET", "/api/admin/file-policies"),
    ("POST", "/api/admin/file-policies"),
    ("DELETE", f"/api/admin/file-policies/{UUID(int=7)}"),
    ("GET", "/api/session-workers"),
    ("POST", f"/api/session-workers/{UUID(int=7)}/activate"),
    ("POST", f"/api/session-workers/{UUID(int=7)}/sync"),
    ("POST", f"/api/session-workers/{UUID(int=7)}/cleanup/idle"),
    ("POST", f"/api/session-workers/{UUID(int=7)}/cleanup/stopped"),
    ("POST", "/api/session-workers/cleanup/idle"),
    ("POST", "/api/session-workers/cleanup/stopped"),
    ("DELETE", f"/api/session-workers/{UUID(int=7)}"),
]


@pytest.fixture
def mia(api: Api, member: str) -> Api:
    """Another user, who is no administrator."""
    return Api(api.client, member)


@pytest.fixture
def someone_elses(api: Api) -> Driver:
    return api.bind()


def paths_of(driver: Driver) -> list[tuple[str, str]]:
    run, session = f"/api/runs/{driver.run_id}", f"/api/sessions/{driver.session_id}"
    return [
        ("GET", run),
        ("GET", f"{run}/events"),
        ("GET", f"{run}/stream"),
        ("POST", f"{run}/stop"),
        ("POST", f"{run}/bind/rotate"),
        ("GET", f"/api/runs/queue/{driver.run_id}"),
        ("GET", session),
        ("PATCH", session),
        ("DELETE", session),
        ("GET", f"{session}/runs"),
        ("GET", f"{session}/events"),
        ("GET", f"/api/session-workers/{driver.session_id}"),
        ("GET", f"/api/why/workers/{driver.session_id}"),
        ("GET", f"/api/human-loop/pending?sessionId={driver.session_id}"),
    ]


def test_every_protected_route_asks_for_a_credential(api: Api) -> None:
    app = api.client.application
    answers = {}
    for rule in app.url_map.iter_rules():
        if permission_of(app.view_functions[rule.endpoint]) == PUBLIC or rule.websocket:
            continue
        path = re.sub("<int:[a-z_]+>", "1", re.sub("<uuid:[a-z_]+>", str(uuid4()), rule.rule))
        for method in (rule.methods or set()) - {"OPTIONS"}:
            answers[method, path] = api.client.open(path, method=method, json={"prompt": ""}).status_code
    assert len(answers) > 20
    assert {call: status for call, status in answers.items() if status != 401} == {}


@pytest.mark.parametrize(
    "credential", ["Bearer nonsense", "Bearer", "Bearer ", "Basic YTpi", "nonsense", "Bearer ü", "bearer a b"]
)
def test_a_bad_credential_is_refused(api: Api, credential: str) -> None:
    answer = api.client.get("/api/sessions", headers={"Authorization": credential})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer_json(answer)["code"] == "unauthenticated"


def test_a_disabled_user_is_out_at_once(mia: Api, conn: psycopg.Connection) -> None:
    disable_user(conn, "mia")
    assert mia.get("/api/sessions").status_code == 401


@pytest.mark.parametrize(("method", "path"), OPERATORS_ONLY)
def test_what_is_for_operators_is_refused_to_members(mia: Api, method: str, path: str) -> None:
    answer = mia.client.open(path, method=method, headers={"Authorization": f"Bearer {mia.token}"})
    assert (answer.status_code, answer_json(answer)["code"]) == (403, "forbidden")


def test_all_that_members_may_not_do_is_named_here(api: Api) -> None:
    app = api.client.application
    found = {
        (method, re.sub("<uuid:[a-z_]+>", str(UUID(int=7)), rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if is_beyond_members(permission_of(app.view_functions[rule.endpoint]))
    }
    assert found == set(OPERATORS_ONLY)


def is_beyond_members(needed: Permission | str | None) -> bool:
    try:
        require(Actor(UUID(int=7), "mia", "member"), needed)  # type: ignore[arg-type]
    except Forbidden:
        return needed != PUBLIC
    return False


def test_what_is_another_users_is_not_found(mia: Api, someone_elses: Driver) -> None:
    headers = {"Authorization": f"Bearer {mia.token}"}
    answers = {
        (method, path): mia.client.open(
            path, method=method, headers=headers, json={"title": "mine"} if method == "PATCH" else None
        ).status_code
        for method, path in paths_of(someone_elses)
    }
    assert {call: status for call, status in answers.items() if status != 404} == {}


def test_no_run_is_started_in_another_users_session(mia: Api, someone_elses: Driver) -> None:
    answer = mia.post("/api/runs/start", {"prompt": "x", "sessionId": str(someone_elses.session_id)})
    assert (answer.status_code, answer_json(answer)["code"]) == (404, "unknown_session")


def test_an_administrator_sees_every_session(api: Api, mia: Api) -> None:
    started = mia.start("mine")
    assert api.get(f"/api/runs/{started['runId']}").status_code == 200


def test_ids_that_name_nothing_are_not_found(api: Api) -> None:
    nothing = Driver(uuid4(), uuid4(), 1, 1, "", lambda *_: (0, {}))
    headers = {"Authorization": f"Bearer {api.token}"}
    answers = {
        path: api.client.open(
            path, method=method, headers=headers, json={"title": "x"} if method == "PATCH" else None
        ).status_code
        for method, path in paths_of(nothing)
    }
    assert {path: status for path, status in answers.items() if status != 404} == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nope", 404), ("/api/runs/not-a-uuid", 422), ("/api/runs/1234", 422), ("/api/sessions/%00", 422)],
)
def test_an_unknown_path_is_a_problem(api: Api, path: str, status: int) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(api: Api) -> None:
    answer = api.delete("/api/runs/start")
    assert (answer.status_code, answer_json(answer)["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


def test_a_table_that_is_missing_tells_nothing_to_the_caller(api: Api, conn: psycopg.Connection) -> None:
    conn.execute("ALTER TABLE runs RENAME TO runs_no_more")
    answer = api.get(f"/api/runs/{uuid4()}")
    assert (answer.status_code, answer_json(answer)["code"]) == (500, "internal")
    assert "runs" not in answer_json(answer)["detail"]
