"""What the API tells of session workers, and what it has done with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from handlers.job_requests import finish_job_request
from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json, wait_until

Perform = Callable[[Json], list[tuple[str, Json]]]


@pytest.fixture
def session_id(api: Api, conn: psycopg.Connection) -> str:
    """A session whose worker is up, with one run that is over and saved as snapshot."""
    session_id = str(answer_json(api.post("/api/sessions", {}))["sessionId"])
    conn.execute(
        "INSERT INTO session_workers (session_id, status, epoch, host, base_url, restored_at, idle_since)"
        " VALUES (%s, 'active', 1, 'process', 'http://127.0.0.1:1', now(), now())",
        (session_id,),
    )
    return session_id


@pytest.fixture
def perform(database: str) -> Perform:
    """Does the next operation as a job worker would; the kinds and arguments that were asked for."""
    asked: list[tuple[str, Json]] = []

    def once(result: Json) -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            select = "SELECT id, kind, arguments FROM operations WHERE finished_at IS NULL"
            wait_until(lambda: conn.execute(select).fetchone() is not None)
            found = conn.execute(select).fetchone()
            assert found is not None
            asked.append((found[1], found[2]))
            finish_job_request(conn, found[0], result=result)

    def begin(result: Json) -> list[tuple[str, Json]]:
        threading.Thread(target=once, args=(result,)).start()
        return asked

    return begin


def save(conn: psycopg.Connection, session_id: str) -> UUID:
    """A snapshot of the session's only run."""
    snapshot_id = uuid4()
    conn.execute(
        "INSERT INTO snapshots (id, session_id, number, epoch, run_id, reason, seq, at_rest, files, bytes, changed,"
        " uploaded_bytes, objects, manifest_digest) SELECT %(id)s, %(session)s, 1, 1, runs.id, 'run', 100, true, 3, 30,"
        " 3, 30, '{}', repeat('0', 64) FROM runs WHERE session_id = %(session)s",
        {"id": snapshot_id, "session": session_id},
    )
    conn.execute("UPDATE session_workers SET head_snapshot = %s, synced_at = now()", (snapshot_id,))
    return snapshot_id


def test_a_worker_says_up_to_which_run_it_is_saved(api: Api, conn: psycopg.Connection, session_id: str) -> None:
    run_id = api.start(sessionId=session_id)["runId"]
    api.post(f"/api/runs/{run_id}/stop")
    snapshot_id = save(conn, session_id)
    found = answer_json(api.get(f"/api/session-workers/{session_id}"))
    assert (found["status"], found["epoch"], found["host"]) == ("active", 1, "process")
    assert found["sync"]["headSnapshot"] == str(snapshot_id)
    assert (found["sync"]["savedUpToRun"], found["sync"]["savedUpToRunNumber"]) == (run_id, 1)
    assert (found["sync"]["isSaved"], found["sync"]["unsavedFiles"]) == (True, 0)
    assert found["sync"]["summary"] == "Saved up to run 1, 0 files unsaved."
    assert "nextDeadline" in found


def test_a_worker_says_what_is_not_saved(api: Api, conn: psycopg.Connection, session_id: str) -> None:
    conn.execute("UPDATE session_workers SET dirty_since = now(), sync_failures = 2, sync_error = 'No store.'")
    sync = answer_json(api.get(f"/api/session-workers/{session_id}"))["sync"]
    assert (sync["isSaved"], sync["failures"], sync["error"]) == (False, 2, "No store.")
    assert "unsavedFiles" not in sync
    assert sync["summary"] == "Nothing is saved yet. The worker has unsaved changes. The last sync failed: No store."


def test_a_worker_is_idle_from_the_end_of_its_last_run(api: Api, conn: psycopg.Connection, session_id: str) -> None:
    conn.execute("UPDATE session_workers SET idle_since = now() - interval '1 hour'")

    def idle_since() -> object:
        alone = answer_json(api.get(f"/api/session-workers/{session_id}")).get("idleSince")
        [listed] = answer_json(api.get("/api/session-workers"))["items"]
        assert listed.get("idleSince") == alone
        return alone

    assert idle_since() is not None
    run_id = api.start(sessionId=session_id)["runId"]
    assert idle_since() is None, "a run needs it"
    api.post(f"/api/runs/{run_id}/stop")
    assert idle_since() == answer_json(api.get(f"/api/runs/{run_id}"))["finishedAt"]


def test_why_says_what_comes_next_and_what_was(api: Api, conn: psycopg.Connection, session_id: str) -> None:
    conn.execute("INSERT INTO restores (session_id, epoch) VALUES (%s, 1)", (session_id,))
    why = answer_json(api.get(f"/api/why/workers/{session_id}"))
    assert (why["state"], why["blockedBy"], why["reason"][:19]) == ("active", [], "The worker is idle;")
    assert why["code"] == "idle"
    assert why["nextJob"] == "look_after_workers"
    assert why["nextDeadline"]
    assert [each["what"] for each in why["history"]] == ["restore.running"]


def test_a_run_is_why_a_worker_stays(api: Api, session_id: str) -> None:
    run_id = api.start(sessionId=session_id)["runId"]
    why = answer_json(api.get(f"/api/why/workers/{session_id}"))
    assert why["owner"] == f"run {run_id}"
    assert run_id in why["reason"]


def test_all_workers_are_listed(api: Api, session_id: str) -> None:
    api.patch(f"/api/sessions/{session_id}", {"title": "Figures"})
    [item] = answer_json(api.get("/api/session-workers"))["items"]
    assert (item["sessionId"], item["sessionTitle"], item["userName"]) == (session_id, "Figures", "admin")
    alone = answer_json(api.get(f"/api/session-workers/{session_id}"))
    assert (item["nextDeadline"], item["nextStep"]) == (alone["nextDeadline"], "stop")


def test_a_worker_says_which_step_comes_next(api: Api, conn: psycopg.Connection, session_id: str) -> None:
    def steps() -> set[object]:
        [listed] = answer_json(api.get("/api/session-workers"))["items"]
        return {listed.get("nextStep"), answer_json(api.get(f"/api/session-workers/{session_id}")).get("nextStep")}

    assert steps() == {"stop"}
    conn.execute("UPDATE session_workers SET status = 'stopped', status_since = now()")
    assert steps() == {"remove"}
    conn.execute("UPDATE session_workers SET status = 'active', dirty_since = now(), next_sync_at = now() + '1 minute'")
    run_id = api.start(sessionId=session_id)["runId"]
    assert steps() == {"save"}, f"run {run_id} uses the worker, so it is saved and goes on"
    conn.execute("UPDATE session_workers SET next_sync_at = NULL")
    assert steps() == {None}


def test_an_operator_sees_workers_of_others_without_titles(
    api: Api, conn: psycopg.Connection, session_id: str, member: str
) -> None:
    conn.execute("UPDATE users SET role = 'operator' WHERE name <> 'admin'")
    [item] = answer_json(Api(api.client, member).get("/api/session-workers"))["items"]
    assert (item["sessionId"], item["userName"]) == (session_id, "admin")
    assert "sessionTitle" not in item


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("activate", "activate_worker"),
        ("sync", "sync_worker"),
        ("cleanup/idle", "stop_idle_workers"),
        ("cleanup/stopped", "remove_stopped_workers"),
    ],
)
def test_what_is_done_with_one_worker_is_asked_of_the_job_worker(
    api: Api, session_id: str, perform: Perform, path: str, kind: str
) -> None:
    asked = perform({"sessionId": session_id, "epoch": 1})
    assert api.post(f"/api/session-workers/{session_id}/{path}").status_code == 200
    [(asked_kind, arguments)] = asked
    assert (asked_kind, arguments["sessionId"]) == (kind, session_id)
    assert arguments["actor"].startswith("user:")


@pytest.mark.parametrize(("path", "kind"), [("idle", "stop_idle_workers"), ("stopped", "remove_stopped_workers")])
def test_sweeps_go_over_all_workers(api: Api, perform: Perform, path: str, kind: str) -> None:
    asked = perform({"scanned": 0, "failed": 0, "skipped": []})
    assert api.post(f"/api/session-workers/cleanup/{path}").status_code == 200
    assert asked == [(kind, {})]


def test_a_result_is_answered_as_its_contract_declares_it(api: Api, perform: Perform) -> None:
    perform({"scanned": 2, "stopped": 1, "leftover": "of another version"})
    answer = answer_json(api.post("/api/session-workers/cleanup/idle"))
    assert answer == {"scanned": 2, "stopped": 1, "failed": 0, "skipped": []}


def test_a_result_that_does_not_fit_its_contract_is_a_problem(api: Api, session_id: str, perform: Perform) -> None:
    perform({"sessionId": session_id, "epoch": "the newest"})
    answer = api.post(f"/api/session-workers/{session_id}/activate")
    assert (answer.status_code, answer_json(answer)["code"]) == (503, "operation_failed")


def test_a_worker_that_is_kept_is_a_conflict_with_the_reason(api: Api, session_id: str, perform: Perform) -> None:
    perform({"sessionId": session_id, "kept": "The worker was not removed: no store."})
    answer = api.delete(f"/api/session-workers/{session_id}")
    assert (answer.status_code, answer_json(answer)["code"]) == (409, "worker_kept")


def test_a_forced_removal_names_its_word_reason_and_actor(api: Api, session_id: str, perform: Perform) -> None:
    path = f"/api/session-workers/{session_id}"
    assert answer_json(api.delete(f"{path}?force=lose-unsaved-changes"))["code"] == "reason_missing"
    assert api.delete(f"{path}?force=yes&reason=x").status_code == 422
    lost: Json = {"sessionId": session_id, "lost": {"isAnything": True, "unsavedSteps": 3}}
    asked = perform(lost)
    assert answer_json(api.delete(f"{path}?force=lose-unsaved-changes&reason=disk")) == lost
    [(kind, arguments)] = asked
    assert (kind, arguments["force"], arguments["reason"]) == ("remove_worker", "lose-unsaved-changes", "disk")
    assert arguments["epoch"] == 1
    assert arguments["actor"].startswith("user:")


@pytest.mark.parametrize("path", ["", "/sync", "/cleanup/idle", "/cleanup/stopped"])
def test_a_session_without_a_worker_is_not_found(api: Api, path: str) -> None:
    call = api.get if not path else api.post
    answer = call(f"/api/session-workers/{uuid4()}{path}")
    assert (answer.status_code, answer_json(answer)["code"]) == (404, "unknown_worker")


def test_a_worker_is_activated_for_a_session_that_there_is(api: Api) -> None:
    answer = api.post(f"/api/session-workers/{uuid4()}/activate")
    assert (answer.status_code, answer_json(answer)["code"]) == (404, "unknown_session")


def test_members_see_their_own_workers_and_operate_none(api: Api, member: str, session_id: str) -> None:
    mia = Api(api.client, member)
    assert mia.get(f"/api/session-workers/{session_id}").status_code == 404
    assert mia.get(f"/api/why/workers/{session_id}").status_code == 404
    own = answer_json(mia.post("/api/sessions", {}))["sessionId"]
    assert answer_json(mia.get(f"/api/session-workers/{own}"))["code"] == "unknown_worker"
    assert mia.post(f"/api/session-workers/{own}/activate").status_code == 403
    assert mia.delete(f"/api/session-workers/{own}").status_code == 403
