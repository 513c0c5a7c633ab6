"""What is reported is stored once, in order, or refused with what to do; over HTTP only, by a bound run."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.runtime.process import api_process_of
from schema.signature import callback_key, signed_headers
from tests.integration.functions.conftest import SECRET, Api, Driver, answer_json, signature_of

pytestmark = pytest.mark.both_postgres_in_full


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


def events_of(api: Api, driver: Driver) -> list[dict[str, object]]:
    items: list[dict[str, object]] = answer_json(api.get(f"/api/runs/{driver.run_id}/events?limit=1000"))["items"]
    return items


def texts(api: Api, driver: Driver) -> list[str]:
    return [str(event["data"]["text"]) for event in events_of(api, driver) if event["type"] == "message.delta"]  # type: ignore[index]


def test_a_bound_run_is_driven_from_beginning_to_end(api: Api, driver: Driver) -> None:
    assert driver.report(driver.delta("a"), driver.delta("b"))[1]["accepted"] == 2
    assert driver.finish() == (200, {"accepted": 1, "duplicates": 0, "lastSeq": 5, "stopRequested": False})
    run = answer_json(api.get(f"/api/runs/{driver.run_id}"))
    assert (run["status"], run["stopReason"], run["bound"]) == ("succeeded", "end_turn", True)
    types = [event["type"] for event in events_of(api, driver)]
    assert types == ["run.queued", "run.started", "message.delta", "message.delta", "run.finished"]


def test_the_next_run_of_the_session_starts_when_it_ends(api: Api, driver: Driver, conn: psycopg.Connection) -> None:
    queued = api.start(sessionId=str(driver.session_id))
    assert conn.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,)
    driver.finish()
    assert conn.execute("SELECT args ->> 'run_id' FROM procrastinate_jobs").fetchall() == [(queued["runId"],)]


def test_a_heartbeat_extends_the_lease(driver: Driver, conn: psycopg.Connection) -> None:
    lease = "SELECT lease_expires_at FROM session_logs"
    before = conn.execute(lease).fetchone()
    assert driver.report() == (200, {"accepted": 0, "duplicates": 0, "lastSeq": 2, "stopRequested": False})
    after = conn.execute(lease).fetchone()
    assert before is not None
    assert after is not None
    assert after[0] > before[0]


def test_a_stop_is_told_with_the_next_heartbeat(api: Api, driver: Driver) -> None:
    assert api.post(f"/api/runs/{driver.run_id}/stop").status_code == 202
    assert driver.report()[1]["stopRequested"] is True


def test_the_same_call_again_stores_nothing_more(api: Api, driver: Driver) -> None:
    body = driver.body(driver.delta("a"), driver.delta("b"))
    driver.report_raw(body)
    assert driver.report_raw(body) == (200, {"accepted": 0, "duplicates": 2, "lastSeq": 4, "stopRequested": False})
    assert texts(api, driver) == ["a", "b"]


def test_the_same_event_by_fifty_parallel_calls_is_one_row(api: Api, driver: Driver) -> None:
    body = driver.body(driver.delta("once"))

    def report(_: int) -> int:
        headers = {**signed_headers(driver.key, body), "Content-Type": "application/json"}
        own = api.client.application.test_client()
        return own.post(driver.path, data=body, headers=headers).status_code

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(report, range(50))) == [200] * 50
    assert texts(api, driver) == ["once"]


def test_a_hole_tells_the_number_expected(api: Api, driver: Driver) -> None:
    status, problem = driver.report(driver.event(n=3, messageId="m", role="assistant", text="x"))
    assert (status, problem["code"], problem["expected"]) == (409, "gap", 1)
    assert texts(api, driver) == []


def test_another_event_under_a_stored_number_is_refused(driver: Driver) -> None:
    driver.report(driver.delta("a"))
    status, problem = driver.report(driver.event(n=1, messageId="m", role="assistant", text="other"))
    assert (status, problem["code"]) == (409, "n_conflict")


def test_what_comes_after_the_end_is_kept_as_late(api: Api, driver: Driver) -> None:
    driver.finish()
    assert driver.report(driver.delta("too late"))[0] == 200
    assert events_of(api, driver)[-1]["late"] is True
    assert answer_json(api.get(f"/api/runs/{driver.run_id}"))["status"] == "succeeded"


def test_a_later_end_changes_nothing(api: Api, driver: Driver) -> None:
    driver.finish()
    assert driver.report(driver.event("run.finished", status="cancelled"))[0] == 200
    assert answer_json(api.get(f"/api/runs/{driver.run_id}"))["status"] == "succeeded"


@pytest.mark.parametrize(("other", "code"), [({"epoch": 9}, "stale_epoch"), ({"epoch": 0}, "stale_epoch")])
def test_another_epoch_is_refused(driver: Driver, other: dict[str, int], code: str) -> None:
    status, problem = driver.report(driver.delta("x"), **other)
    assert (status, problem["code"], problem["epoch"]) == (409, code, 1)


def test_another_attempt_is_refused(driver: Driver) -> None:
    driver.key = callback_key(bytes.fromhex(SECRET), run_id=driver.run_id, attempt=2, generation=1)
    driver.attempt = 2
    status, problem = driver.report(driver.delta("x"))
    assert (status, problem["code"], problem["attempt"]) == (409, "stale_attempt", 1)


@pytest.mark.parametrize("type_", ["run.queued", "human_loop.resolved", "run.waiting", "run.retrying"])
def test_what_only_the_control_plane_may_say_is_refused(driver: Driver, type_: str) -> None:
    status, problem = driver.report(driver.event(type_, requestId=str(uuid4()), decision="allow", by="x"))
    assert (status, problem["code"]) == (422, "type_not_authorable")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+01:00", "0900-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_no_reader_can_hold_is_refused(api: Api, driver: Driver, at: str) -> None:
    assert driver.report({**driver.delta("x"), "at": at})[0] == 422
    assert texts(api, driver) == []


def test_a_conversation_with_too_long_a_name_is_refused(api: Api) -> None:
    driver = api.bind(provider="demo")
    status, problem = driver.report(driver.event("run.started", provider="demo", agentSessionId="x" * 1001))
    assert (status, problem["code"]) == (422, "bad_event_data")


def test_a_call_is_all_or_nothing(api: Api, driver: Driver) -> None:
    status, _ = driver.report(driver.delta("a"), driver.event("run.finished", status="exploded"))
    assert status == 422
    assert texts(api, driver) == []


def test_an_unknown_type_is_kept_as_it_is(api: Api, driver: Driver) -> None:
    told: dict[str, object] = {"nested": {"null": None, "float": 0.1, "big": 2**70, "list": [1, "ü", {}]}}
    assert driver.report({**driver.event("weather.changed"), "data": told})[0] == 200
    assert events_of(api, driver)[-1]["data"] == told


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\udc00\ud800", "\N{REPLACEMENT CHARACTER}" * 2),
        ("\N{PILE OF POO}", "\N{PILE OF POO}"),
        ("\\u0000", "\\u0000"),
    ],
)
def test_characters_that_cannot_be_stored_are_replaced(api: Api, driver: Driver, said: str, stored: str) -> None:
    assert driver.report(driver.delta(said))[0] == 200
    assert texts(api, driver) == [stored]


def refused(api: Api, driver: Driver, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    answer = api.client.post(driver.path, data=body, headers={"Content-Type": "application/json", **headers})
    assert texts(api, driver) == []
    return answer.status_code, answer_json(answer)["code"]


def test_an_unsigned_call_is_refused(api: Api, driver: Driver) -> None:
    assert refused(api, driver, driver.body(driver.delta("x")), {}) == (401, "bad_signature")


def test_a_users_token_is_no_signature(api: Api, driver: Driver) -> None:
    bearer = {"Authorization": f"Bearer {api.token}"}
    assert refused(api, driver, driver.body(driver.delta("x")), bearer) == (401, "bad_signature")


def test_an_altered_body_is_refused(api: Api, driver: Driver) -> None:
    body = driver.body(driver.delta("x"))
    altered = body.replace(b'"x"', b'"y"')
    assert refused(api, driver, altered, signed_headers(driver.key, body)) == (401, "bad_signature")


def test_the_key_of_another_run_is_refused(api: Api, driver: Driver) -> None:
    body = driver.body(driver.delta("x"))
    assert refused(api, driver, body, signed_headers(api.bind().key, body)) == (401, "bad_signature")


@pytest.mark.parametrize("minutes", [-60, 60])
def test_a_call_replayed_after_an_hour_is_refused(api: Api, driver: Driver, minutes: int) -> None:
    body = driver.body(driver.delta("x"))
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    assert refused(api, driver, body, signed_headers(driver.key, body, now=then)) == (401, "bad_signature")


@pytest.mark.parametrize("signature", ["", "v1,", "v1,###", "v1", "v2,abc", "v1,ü"])
def test_a_nonsensical_signature_is_refused(api: Api, driver: Driver, signature: str) -> None:
    body = driver.body(driver.delta("x"))
    headers = {**signed_headers(driver.key, body), "webhook-signature": signature}
    assert refused(api, driver, body, headers) == (401, "bad_signature")


def test_both_keys_count_while_one_is_rotated(api: Api, driver: Driver) -> None:
    rotated = answer_json(api.post(f"/api/runs/{driver.run_id}/bind/rotate"))
    assert rotated["callbackKey"] != driver.key
    assert driver.report(driver.delta("old key"))[0] == 200
    driver.key = rotated["callbackKey"]
    assert driver.report(driver.delta("new key"))[0] == 200


def test_a_key_rotated_away_counts_for_its_time_only(api: Api, driver: Driver, conn: psycopg.Connection) -> None:
    api.post(f"/api/runs/{driver.run_id}/bind/rotate")
    conn.execute("UPDATE runs SET previous_key_until = now()")
    assert driver.report(driver.delta("old key"))[0] == 401


def test_the_key_of_a_run_that_has_ended_is_not_rotated(api: Api, driver: Driver) -> None:
    driver.finish()
    answer = api.post(f"/api/runs/{driver.run_id}/bind/rotate")
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "run_finished")


def test_a_key_rotated_away_twice_is_refused(api: Api, driver: Driver) -> None:
    for _ in range(2):
        api.post(f"/api/runs/{driver.run_id}/bind/rotate")
    assert driver.report(driver.delta("x"))[0] == 401


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"epoch": NaN}', 400, "malformed_json"),
        (b'{"epoch": 1, "attempt": 1, "events": ' + b"[" * 100_000, 400, "malformed_json"),
        (b'{"epoch": ' + b"1" * 10_000 + b"}", 400, "malformed_json"),
        (b"[]", 422, "invalid"),
        (b'{"epoch": 1, "attempt": 0}', 422, "invalid"),
        (b'{"epoch": 1, "attempt": 1, "events": [{"id": "x"}]}', 422, "invalid"),
    ],
)
def test_a_malformed_call_is_refused_and_unread_when_unsigned(
    driver: Driver, raw: bytes, status: int, code: str
) -> None:
    answered, problem = driver.report_raw_as(raw, signature_of(driver.key, raw))
    assert (answered, problem["code"]) == (status, code)
    answered, problem = driver.report_raw_as(raw, signed_headers(driver.key, b"other"))
    assert (answered, problem["code"]) == (401, "bad_signature")


def test_data_nested_too_deeply_is_refused(driver: Driver) -> None:
    deep: object = "x"
    for _ in range(150):
        deep = [deep]
    assert driver.report(driver.event("tool.update", toolCallId="t", output=deep))[0] == 400


def test_a_call_beyond_the_limit_is_refused(driver: Driver) -> None:
    status, problem = driver.report(driver.delta("x" * (9 * 1024 * 1024)))
    assert (status, problem["code"]) == (413, "too_large")


def test_a_call_within_the_limit_is_stored_whole(api: Api, driver: Driver) -> None:
    text = "0123456789" * 400_000
    assert driver.report(driver.delta(text))[0] == 200
    assert texts(api, driver) == [text]


def test_an_unknown_run_is_not_found(driver: Driver) -> None:
    driver.run_id = UUID(int=1)
    status, problem = driver.report(driver.event())
    assert (status, problem["code"]) == (404, "unknown_run")


def test_events_without_numbers_are_known_by_their_ids(api: Api, driver: Driver) -> None:
    event = {key: value for key, value in driver.delta("unnumbered").items() if key != "n"}
    driver.report(event)
    assert driver.report(event)[1]["duplicates"] == 1
    assert texts(api, driver) == ["unnumbered"]


def test_heartbeats_get_through_when_all_other_connections_are_taken(api: Api, driver: Driver) -> None:
    process = api_process_of(api.client.application)
    with ExitStack() as taken:
        for _ in range(process.settings.database_pool_size):
            taken.enter_context(process.database.transaction())
        assert driver.report()[0] == 200


def test_seq_has_no_gaps_however_many_write(api: Api) -> None:
    session = answer_json(api.post("/api/sessions", {}))["sessionId"]
    driver = api.bind(session)
    bodies = [driver.body({**driver.delta(str(i)), "n": None}) for i in range(40)]

    def report(body: bytes) -> int:
        headers = {**signed_headers(driver.key, body), "Content-Type": "application/json"}
        return api.client.application.test_client().post(driver.path, data=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(report, bodies)) == {200}
    events = answer_json(api.get(f"/api/sessions/{session}/events?limit=1000"))["items"]
    assert [event["seq"] for event in events] == list(range(1, 43))
    assert json.dumps(sorted(int(text) for text in texts(api, driver))) == json.dumps(list(range(40)))
