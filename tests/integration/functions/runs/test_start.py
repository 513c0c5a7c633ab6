"""A prompt becomes a run and its job, once, whatever is sent again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from handlers.runs.start import forget_old_keys
from tests.integration.functions.conftest import Api, answer_json

pytestmark = pytest.mark.both_postgres_in_full
START = "/api/runs/start"


def jobs(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute("SELECT args ->> 'run_id' FROM procrastinate_jobs WHERE task_name = 'execute_run' ORDER BY id")
    return [row[0] for row in rows]


def test_a_start_is_a_queued_run_and_its_job(api: Api, conn: psycopg.Connection) -> None:
    answer = api.post(START, {"prompt": "hello"})
    started = answer_json(answer)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/runs/{started['runId']}"
    assert (started["status"], started["seq"], started["queuePosition"], started["warnings"]) == ("queued", 0, 0, [])
    assert jobs(conn) == [started["runId"]]


def test_the_second_run_of_a_session_waits_without_a_job(api: Api, conn: psycopg.Connection) -> None:
    first = api.start("one")
    second = answer_json(api.post("/api/runs/queue/enqueue", {"prompt": "two", "sessionId": first["sessionId"]}))
    assert second["queuePosition"] == 1
    assert jobs(conn) == [first["runId"]]
    assert answer_json(api.get(f"/api/runs/queue/{second['runId']}"))["position"] == 1


def test_stopping_the_first_run_gives_the_next_its_job(api: Api, conn: psycopg.Connection) -> None:
    first = api.start("one")
    second = api.start("two", sessionId=first["sessionId"])
    answer = api.post(f"/api/runs/{first['runId']}/stop")
    assert (answer.status_code, answer_json(answer)["status"]) == (200, "cancelled")
    assert jobs(conn)[-1] == second["runId"]


def test_enqueue_never_streams(api: Api) -> None:
    answer = api.post("/api/runs/queue/enqueue", {"prompt": "x"}, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.mimetype) == (202, "application/json")


def test_the_alias_of_a_provider_is_taken(api: Api, conn: psycopg.Connection) -> None:
    conn.execute("""INSERT INTO providers (name, declared)
        VALUES ('codex', '{"name": "codex", "title": "Codex", "ready": true}')""")
    run = api.start(provider="codex-cli")
    assert answer_json(api.get(f"/api/runs/{run['runId']}"))["provider"] == "codex"


def test_a_run_says_what_happens_when_nobody_answers_and_its_app_the_rest(api: Api, conn: psycopg.Connection) -> None:
    conn.execute("""UPDATE apps SET human_loop = '{"onExpiry": "deny", "expirySeconds": 60}'""")
    run = api.start(humanLoop={"expirySeconds": 5})
    stored = conn.execute("SELECT human_loop FROM runs WHERE id = %s", (run["runId"],)).fetchone()
    assert stored is not None
    assert (stored[0]["onExpiry"], stored[0]["expirySeconds"], stored[0]["then"]) == ("deny", 5, "park")


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"onExpiry": "escalate"}, "escalate_to_missing"),
        ({"onExpiry": "escalate", "escalateTo": "user:00000000-0000-4000-8000-000000000000"}, "unknown_user"),
    ],
)
def test_a_run_must_escalate_to_somebody(api: Api, policy: dict[str, str], code: str) -> None:
    answer = api.post(START, {"prompt": "x", "humanLoop": policy})
    assert (answer.status_code, answer_json(answer)["code"]) == (422, code)


def test_the_same_key_and_body_start_one_run(api: Api) -> None:
    first = api.post(START, {"prompt": "x", "multitask": "enqueue"}, headers={"Idempotency-Key": "k"})
    again = api.post(START, {"multitask": "enqueue", "prompt": "x"}, headers={"Idempotency-Key": "k"})
    assert (again.status_code, answer_json(again)) == (202, answer_json(first))


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    api.post(START, {"prompt": "x"}, headers={"Idempotency-Key": "k"})
    answer = api.post(START, {"prompt": "y"}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "idempotency_key_reused")


def test_a_key_is_forgotten_after_a_day(api: Api, conn: psycopg.Connection) -> None:
    def start() -> str:
        return str(answer_json(api.post(START, {"prompt": "x"}, headers={"Idempotency-Key": "k"}))["runId"])

    first = start()
    conn.execute("UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'")
    forget_old_keys(conn)
    assert start() == first
    conn.execute("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'")
    forget_old_keys(conn)
    assert start() != first


def test_twenty_parallel_starts_with_one_key_are_one_run(api: Api, conn: psycopg.Connection) -> None:
    def start(_: int) -> str:
        own = Api(api.client.application.test_client())
        started: str = answer_json(own.post(START, {"prompt": "x"}, headers={"Idempotency-Key": "k"}))["runId"]
        return started

    with ThreadPoolExecutor(20) as pool:
        runs = set(pool.map(start, range(20)))
    assert len(runs) == 1
    assert jobs(conn) == list(runs)
    assert conn.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_a_capability_that_is_missing_is_named(api: Api) -> None:
    answer = api.post(START, {"prompt": "x", "options": {"sandbox": "strict"}})
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "capability_missing")
    assert answer_json(answer)["capability"] == "sandbox"


def test_a_run_that_needs_a_person_is_blocked_where_nobody_can_be_asked(api: Api) -> None:
    answer = api.post(
        START,
        {"prompt": "x", "provider": "plain", "options": {"requireHumanLoop": True}},
        headers={"Prefer": "wait=5"},
    )
    body = answer_json(answer)
    assert (answer.status_code, body["run"]["status"]) == (200, "blocked")
    assert f"/api/sessions/{body['run']['sessionId']}/snapshots" in answer.headers["Link"]
    assert body["run"]["reason"]["code"] == "capability_missing"
    assert [event["type"] for event in body["events"]] == ["run.queued", "run.warning", "run.warning", "run.finished"]
    assert {warning["code"] for warning in body["warnings"]} == {"provider_not_ready", "resume_unsupported"}


def test_waiting_in_vain_is_an_ordinary_answer(api: Api) -> None:
    answer = api.post(START, {"prompt": "x"}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")
    assert answer.headers["Link"] == (
        f'</api/sessions/{answer_json(answer)["sessionId"]}/snapshots>; rel="related"; title="snapshots"'
    )


def test_a_busy_session_rejects(api: Api) -> None:
    first = api.start()
    answer = api.post(START, {"prompt": "x", "sessionId": first["sessionId"], "multitask": "reject"})
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "session_busy")


def test_a_start_as_a_stream_begins_with_the_runs_first_event(api: Api) -> None:
    answer = api.post(
        START,
        {"prompt": "x", "provider": "plain", "options": {"requireHumanLoop": True}},
        headers={"Accept": "text/event-stream"},
    )
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    address = answer.headers["Link"].partition(">")[0].lstrip("<")
    assert answer_json(api.get(address))["items"] == []
    types = [line[7:] for line in answer.get_data(as_text=True).splitlines() if line.startswith("event: ")]
    assert types == ["run.queued", "run.warning", "run.warning", "run.finished"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid"),
        ({"prompt": ""}, 422, "invalid"),
        ({"prompt": " \n"}, 422, "invalid"),
        ({"prompt": "a\0b"}, 400, "malformed_json"),
        ({"prompt": "a\ud800b"}, 400, "malformed_json"),
        ({"prompt": "x", "provider": "nope"}, 404, "unknown_provider"),
        ({"prompt": "x", "options": {"modle": "m"}}, 422, "invalid"),
        ({"prompt": "x", "promt": "y"}, 422, "invalid"),
        ({"prompt": "x", "maxAttempts": 0}, 422, "invalid"),
        ({"prompt": "x", "maxAttempts": "3"}, 422, "invalid"),
        ({"prompt": "x", "timeoutSeconds": -1}, 422, "invalid"),
        ({"prompt": "x", "sessionId": str(UUID(int=7))}, 404, "unknown_session"),
        ({"prompt": "x", "sessionId": "zzz"}, 422, "invalid_id"),
        ({"prompt": "x", "appId": str(UUID(int=7))}, 404, "unknown_app"),
        ({"prompt": "x" * 300_000}, 413, "prompt_too_large"),
        ({"prompt": "ü" * 140_000}, 413, "prompt_too_large"),
        ([], 422, "invalid"),
        ({"prompt": "x", "options": {"providerOptions": {"k": "a\0b"}}}, 400, "malformed_json"),
    ],
)
def test_a_bad_start_is_a_problem_and_nothing_is_stored(
    api: Api, conn: psycopg.Connection, body: object, status: int, code: str
) -> None:
    answer = api.post(START, data=json.dumps(body), content_type="application/json")
    problem = answer_json(answer)
    assert (answer.status_code, answer.mimetype, problem["code"]) == (status, "application/problem+json", code)
    assert {"type", "title", "status", "detail", "traceId"} <= problem.keys()
    assert conn.execute("SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM sessions)").fetchone() == (0,)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"prompt": "\xff"}',
        b'{"prompt": NaN}',
        b'{"prompt": 1e999}',
        b'{"prompt": "x", "options": {"providerOptions": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"prompt": "x", "options": {"providerOptions": {"a": ' + b"[" * 150 + b"]" * 150 + b"}}}",
        b'{"prompt": ' + b"9" * 5000 + b"}",
        b'{"prompt": "x", "options": {"providerOptions": {"a": [' + b",".join([b"1e308"] * 4000) + b"]}}}",
    ],
    ids=["cut", "not-utf8", "nan", "infinite", "deep", "rather-deep", "huge-number", "many-zeros"],
)
def test_what_is_not_json_is_refused(api: Api, raw: bytes) -> None:
    answer = api.post(START, data=raw, content_type="application/json")
    assert (answer.status_code, answer_json(answer)["code"]) == (400, "malformed_json")


def test_a_body_beyond_all_limits_is_refused_unread(api: Api) -> None:
    answer = api.post(START, data=b"x" * 2_000_000, content_type="application/json")
    assert (answer.status_code, answer_json(answer)["code"]) == (413, "too_large")


@pytest.mark.parametrize("key", ["", "x" * 256, "ü"])
def test_a_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    answer = api.post(START, {"prompt": "x"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer_json(answer)["code"]) == (422, "bad_idempotency_key")


def test_problems_repeat_nothing_of_what_was_sent(api: Api) -> None:
    answer = api.post(START, {"prompt": ["my-secret-password"], "provider": {"k": "my-secret-password"}})
    assert "my-secret-password" not in answer.get_data(as_text=True)


def test_the_trace_of_the_caller_goes_on(api: Api, conn: psycopg.Connection) -> None:
    incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = api.post(START, {"prompt": "x"}, headers={"traceparent": incoming})
    stored = conn.execute("SELECT traceparent FROM runs").fetchone()
    assert answer.headers["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"
    assert stored == (answer.headers["traceparent"],)
    assert stored != (incoming,)


@pytest.mark.parametrize("incoming", ["", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff-x-y-z"])
def test_a_bad_trace_is_replaced(api: Api, incoming: str) -> None:
    answer = api.get("/health", headers={"traceparent": incoming})
    assert len(answer.headers["x-trace-id"]) == 32
    assert answer.headers["x-trace-id"] != "0" * 32
