"""Rules by the API: whose they are, how they change, and what they decide when an agent asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json

pytestmark = pytest.mark.both_postgres_in_full
RULES = "/api/human-loop/rules"
OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


def added(api: Api, **rule: object) -> Json:
    answer = api.post(RULES, rule)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer_json(answer)


def put(api: Api, rule_id: str, **rule: object) -> tuple[int, Json]:
    answer = api.client.put(f"{RULES}/{rule_id}", json=rule, headers={"Authorization": f"Bearer {api.token}"})
    return answer.status_code, answer_json(answer)


def asks(driver: Driver, **tool_call: object) -> str:
    """An agent asks for permission; the request's id."""
    request_id = str(uuid4())
    asked: Json = {
        "requestId": request_id,
        "kind": "permission",
        "title": "May I?",
        "fingerprint": "f",
        "options": OPTIONS,
    }
    told = driver.event("human_loop.requested", **asked, toolCall={"toolCallId": "t", **tool_call})
    assert driver.report(told)[0] == 200
    return request_id


def runs(command: str) -> Json:
    return {"kind": "execute", "input": {"command": command}}


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


@pytest.fixture
def mia(api: Api, member: str) -> Api:
    return Api(api.client, member)


def test_a_rule_answers_in_its_own_name_and_the_run_does_not_wait(
    api: Api, driver: Driver, conn: psycopg.Connection
) -> None:
    rule = added(api, effect="allow", commandPattern="git *")
    request_id = asks(driver, **runs("git status"))
    name = f"rule:{rule['ruleId']}@1"
    events = answer_json(api.get(f"/api/runs/{driver.run_id}/events"))["items"][-2:]
    assert [event["type"] for event in events] == ["human_loop.requested", "human_loop.resolved"]
    assert (events[1]["author"], events[1]["data"]["by"], events[1]["data"]["decision"]) == (name, name, "allow")
    found = answer_json(api.get(f"/api/human-loop/{request_id}"))
    assert (found["status"], found["decidedBy"], found["runStatus"]) == ("answered", name, "running")
    assert conn.execute("SELECT task_name FROM procrastinate_jobs").fetchall() == [("deliver_answer",)]
    assert answer_json(api.get("/api/human-loop/pending"))["items"] == []


def test_a_denial_by_rule_tells_its_note(api: Api, driver: Driver) -> None:
    added(api, effect="deny", pathPattern="/workspace/secrets/**", note="Secrets stay secret.")
    request_id = asks(driver, kind="edit", locations=[{"path": "/workspace/secrets/key"}])
    given = answer_json(api.get(f"/api/human-loop/{request_id}"))["answer"]
    assert (given["decision"], given["reason"]) == ("deny", "Secrets stay secret.")


def test_deny_goes_before_ask_and_ask_before_allow(api: Api, driver: Driver) -> None:
    added(api, effect="allow", everything=True)
    asking = added(api, effect="ask", commandPattern="git push*")
    request_id = asks(driver, **runs("git push"))
    assert answer_json(api.get(f"/api/human-loop/{request_id}"))["status"] == "open"
    added(api, effect="deny", commandPattern="git push*")
    assert answer_json(api.get(f"/api/human-loop/{asks(driver, **runs('git push'))}"))["answer"]["decision"] == "deny"
    assert asking["effect"] == "ask"


def test_a_rule_is_for_its_user_and_its_app_only(api: Api, mia: Api, conn: psycopg.Connection) -> None:
    app_id = conn.execute("INSERT INTO apps (name, provider) VALUES ('other', 'demo') RETURNING id").fetchone()
    assert app_id is not None
    added(mia, effect="allow", userId="me")
    added(api, effect="allow", appId=str(app_id[0]))
    request_id = asks(api.bind(), **runs("ls"))
    assert answer_json(api.get(f"/api/human-loop/{request_id}"))["status"] == "open"
    own = asks(mia.bind(), **runs("ls"))
    assert answer_json(mia.get(f"/api/human-loop/{own}"))["status"] == "answered"


def test_a_call_that_can_only_be_allowed_for_good_is_asked(api: Api, driver: Driver) -> None:
    added(api, effect="allow", everything=True)
    request_id = str(uuid4())
    always = [{"optionId": "always", "name": "Always", "kind": "allow_always"}]
    asked: Json = {
        "requestId": request_id,
        "kind": "permission",
        "title": "May I?",
        "fingerprint": "f",
        "options": always,
    }
    driver.report(driver.event("human_loop.requested", **asked, toolCall=runs("ls")))
    assert answer_json(api.get(f"/api/human-loop/{request_id}"))["status"] == "open"


def test_no_rule_answers_a_question(api: Api, driver: Driver) -> None:
    added(api, effect="allow", everything=True)
    request_id = str(uuid4())
    asked: Json = {"requestId": request_id, "kind": "question", "title": "Which?", "fingerprint": "f", "schema": {}}
    driver.report(driver.event("human_loop.requested", **asked))
    assert answer_json(api.get(f"/api/human-loop/{request_id}"))["status"] == "open"


def test_a_rule_for_all_runs_needs_a_pattern_or_a_word(api: Api, mia: Api) -> None:
    for text in ({"effect": "allow"}, {"effect": "allow", "toolKind": "execute"}):
        refused = api.post(RULES, text)
        assert (refused.status_code, answer_json(refused)["code"]) == (422, "rule_for_everything")
    kept = added(api, effect="deny", commandPattern="git push*")
    status, problem = put(api, kept["ruleId"], version=1, effect="allow")
    assert (status, problem["code"]) == (422, "rule_for_everything")
    assert put(api, kept["ruleId"], version=1, effect="allow", everything=True)[0] == 200
    assert added(mia, effect="allow", userId="me")["effect"] == "allow"


def test_a_change_is_the_next_version_and_the_one_before_can_be_looked_up(api: Api) -> None:
    rule = added(api, effect="allow", commandPattern="git *")
    status, changed = put(api, rule["ruleId"], version=1, effect="deny", toolKind="edit", everything=True)
    assert (status, changed["version"], changed["effect"], changed.get("commandPattern")) == (200, 2, "deny", None)
    path = f"{RULES}/{rule['ruleId']}"
    first, newest = (answer_json(api.get(path + query)) for query in ("?version=1", ""))
    assert (first["effect"], first["commandPattern"], "retiredAt" in first) == ("allow", "git *", True)
    assert (newest["version"], "retiredAt" in newest) == (2, False)


def test_of_ten_changes_at_once_one_counts(api: Api, conn: psycopg.Connection) -> None:
    rule = added(api, effect="allow", everything=True)

    def change(number: int) -> int:
        own = Api(api.client.application.test_client())
        return put(own, rule["ruleId"], version=1, effect="deny", note=f"by {number}", everything=True)[0]

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(change, range(10))) == [200, *[409] * 9]
    in_force = "SELECT version FROM approval_rules WHERE retired_at IS NULL"
    assert conn.execute(in_force).fetchall() == [(2,)]


def test_a_stale_change_is_told_the_version_in_force(api: Api) -> None:
    rule = added(api, effect="allow", everything=True)
    put(api, rule["ruleId"], version=1, effect="deny", everything=True)
    status, problem = put(api, rule["ruleId"], version=1, effect="ask", everything=True)
    assert (status, problem["code"], problem["version"]) == (409, "stale_version", 2)
    stale = api.delete(f"{RULES}/{rule['ruleId']}?version=1")
    assert (stale.status_code, answer_json(stale)["code"]) == (409, "stale_version")


def test_a_removed_rule_decides_nothing_more_and_is_still_known(api: Api, driver: Driver) -> None:
    rule = added(api, effect="allow", everything=True)
    path = f"{RULES}/{rule['ruleId']}"
    assert api.delete(path).status_code == 204
    assert api.delete(path).status_code == 404
    assert answer_json(api.get(RULES))["items"] == []
    assert "retiredAt" in answer_json(api.get(path))
    assert answer_json(api.get(f"/api/human-loop/{asks(driver, **runs('ls'))}"))["status"] == "open"


def test_members_write_their_own_rules_only(api: Api, mia: Api, conn: psycopg.Connection) -> None:
    of_all, of_app = (
        added(api, effect="deny", everything=True),
        added(api, effect="deny", appId=str(_default_app(conn))),
    )
    own = added(mia, effect="allow", userId="me")
    for refused in ({"effect": "allow"}, {"effect": "allow", "appId": of_app["appId"]}):
        assert mia.post(RULES, refused).status_code == 403
    assert put(mia, of_all["ruleId"], version=1, effect="allow")[0] == 403
    assert mia.delete(f"{RULES}/{of_all['ruleId']}").status_code == 403
    assert put(mia, own["ruleId"], version=1, effect="ask")[0] == 200


def test_members_see_their_own_rules_and_those_for_everyone(api: Api, mia: Api) -> None:
    shared, admins = added(api, effect="deny", everything=True), added(api, effect="allow", userId="me")
    own = added(mia, effect="ask", userId="me")
    assert {rule["ruleId"] for rule in answer_json(mia.get(RULES))["items"]} == {shared["ruleId"], own["ruleId"]}
    assert mia.get(f"{RULES}/{admins['ruleId']}").status_code == 404
    assert put(mia, admins["ruleId"], version=1, effect="deny")[0] == 404
    assert len(answer_json(api.get(RULES))["items"]) == 3


def test_rules_come_in_pages(api: Api) -> None:
    made = [added(api, effect="deny", note=str(i), everything=True)["ruleId"] for i in range(3)]
    first = answer_json(api.get(f"{RULES}?limit=2"))
    rest = answer_json(api.get(f"{RULES}?limit=2&cursor={first['nextCursor']}"))
    assert [rule["ruleId"] for rule in [*first["items"], *rest["items"]]] == made[::-1]


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"effect": "perhaps"}, 422),
        ({}, 422),
        ({"effect": "deny", "toolKind": "exec"}, 422),
        ({"effect": "deny", "pathPattern": "../etc"}, 422),
        ({"effect": "deny", "pathPattern": "a/../b"}, 422),
        ({"effect": "deny", "pathPattern": "a//b"}, 422),
        ({"effect": "deny", "commandPattern": " ls"}, 422),
        ({"effect": "deny", "misspelt": "x"}, 422),
        ({"effect": "deny", "appId": str(uuid4())}, 404),
        ({"effect": "deny", "userId": str(uuid4())}, 404),
    ],
)
def test_a_rule_that_could_never_apply_is_refused(api: Api, rule: Json, status: int) -> None:
    assert api.post(RULES, rule).status_code == status
    assert answer_json(api.get(RULES))["items"] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [("/workspace/src/**", "src/**"), ("/workspace", "**"), ("/etc/*", "/etc/*"), ("~/.ssh/**", None)],
)
def test_a_path_of_the_workspace_is_kept_relative(api: Api, given: str, kept: str | None) -> None:
    assert added(api, effect="deny", pathPattern=given)["pathPattern"] == (kept or given)


def _default_app(conn: psycopg.Connection) -> object:
    row = conn.execute("SELECT id FROM apps WHERE name = 'default'").fetchone()
    assert row is not None
    return row[0]
