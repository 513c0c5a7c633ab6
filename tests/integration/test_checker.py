"""The checker finds nothing in a log that is whole, and complains of every single thing that is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import actor_of
from handlers.access.users import user_named
from handlers.callbacks.receive import CallbackPolicy, receive_callback
from handlers.event_log import session_events
from handlers.providers.registry import announce_providers
from handlers.runs.claim import claim_run
from handlers.runs.settle import RetryPolicy
from handlers.runs.start import Start, start_run
from handlers.runs.stop import StopPolicy
from schema.executor_api import CallbackBody
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn
from schema.wire import Json
from tests.checker import Acknowledged, Reading, Recorded, check, violations
from tests.integration.handlers.conftest import ABLE, TRACEPARENT, event, finished, started

POLICY = CallbackPolicy(lease_seconds=60, retry=RetryPolicy(delay_seconds=0))


@dataclass(frozen=True)
class Filled:
    """A database in which one run has ended, one of another session is live and one waits behind it."""

    dsn: str
    ended: RunRow
    live: RunRow
    acknowledged: list[Acknowledged]
    readings: list[Reading]

    @property
    def recorded(self) -> Recorded:
        return Recorded(acknowledged=self.acknowledged, readings=self.readings)


@pytest.fixture
def filled(conn: Conn, database: str) -> Filled:
    announce_providers(conn, [ABLE])
    ended, live = start(conn), start(conn)
    start(conn, session_id=live.session_id)
    said = [started(), event(2, "message.delta"), event(3, "message.delta"), finished(4)]
    late = event(5, "message.delta")
    for body in (said[:2], said[2:], [late]):
        report(conn, ended, CallbackBody(epoch=1, attempt=1, events=body))
    report(conn, live, CallbackBody(epoch=1, attempt=1, events=[started()]))
    log = [one.to_json() for one in session_events(conn, ended.session_id, after=0, limit=100)]
    return Filled(
        dsn=database,
        ended=ended,
        live=live,
        acknowledged=[Acknowledged(str(ended.id), str(one.id)) for one in [*said, late]],
        readings=[Reading(str(ended.session_id), after, log[after:]) for after in range(len(log) + 1)],
    )


def start(conn: Conn, *, session_id: UUID | None = None) -> RunRow:
    """A run; the first of its session is claimed."""
    actor = actor_of(user_named(conn, "admin"))
    wanted = Start(prompt="hello", options=RunOptions(), max_attempts=3, traceparent=TRACEPARENT, session_id=session_id)
    with conn.transaction():
        run = start_run(conn, actor, wanted, stop_policy=StopPolicy(deadline_seconds=30)).run
    with conn.transaction():
        claimed = claim_run(conn, run.id, owner="test", lock_seconds=60)
    return run if claimed is None else claimed.run


def report(conn: Conn, run: RunRow, body: CallbackBody) -> None:
    with conn.transaction():
        receive_callback(conn, run.id, body, policy=POLICY)


def test_a_whole_log_breaks_no_law(filled: Filled) -> None:
    assert violations(filled.dsn, filled.recorded) == []


CORRUPTIONS = {
    "its numbers are not 1 to last_seq": "DELETE FROM run_events WHERE seq = 3",
    "an event is there twice": "UPDATE run_events SET id = (SELECT id FROM run_events WHERE n = 2) WHERE n = 3",
    "the source's numbers have holes": "UPDATE run_events SET n = 9 WHERE n = 5",
    "last_n is not what is stored": "UPDATE session_logs SET last_n = 77 WHERE run_id IS NOT NULL",
    "an event comes after the end": "UPDATE run_events SET late = false",
    "an event is late although": "UPDATE run_events SET late = true WHERE n = 2",
    "it has not exactly one end": "UPDATE run_events SET type = 'message.delta' WHERE type = 'run.finished'",
    "its end says another status": """
        UPDATE run_events SET data = '{"status": "failed"}' WHERE type = 'run.finished'""",
    "it was not settled exactly once": "DELETE FROM usage_log",
    "it has ended and something is still asked": """
        INSERT INTO human_requests (id, session_id, run_id, attempt, kind, title, fingerprint)
        SELECT gen_random_uuid(), session_id, id, 1, 'permission', 'May I?', 'x' FROM runs WHERE finished_at IS NOT NULL
        """,
    "it waits for nobody": "UPDATE runs SET status = 'waiting' WHERE status = 'running'",
    "its agent was not put to rest": "UPDATE runs SET status = 'waiting' WHERE status = 'running';"
    " UPDATE runs SET status = 'parked' WHERE status = 'waiting'",
    "its log's head does not say": "UPDATE session_logs SET attempt = 7 WHERE run_id IS NOT NULL",
    "its events stand elsewhere": "UPDATE runs SET last_seq = 2 WHERE finished_at IS NOT NULL",
    "it is live without a live lease": "UPDATE session_logs SET lease_expires_at = now() - interval '1 s'"
    " WHERE run_id IS NOT NULL",
    "it is due, first in its queue": "DELETE FROM runs WHERE status = 'running'",
    "two of its runs are live": "DROP INDEX runs_one_live_per_session;"
    " UPDATE runs SET status = 'starting', claim = 1, lock_expires_at = now() + interval '1 h'"
    " WHERE status = 'queued'",
    "an acknowledged event is not there once": "UPDATE run_events SET id = gen_random_uuid() WHERE n = 4",
    "a reader's list is not the log's rest": """UPDATE run_events SET data = '{"text": "other"}' WHERE n = 2""",
}


@pytest.mark.parametrize("law", CORRUPTIONS)
def test_what_is_corrupted_is_found(filled: Filled, conn: Conn, law: str) -> None:
    conn.execute(CORRUPTIONS[law])
    found = violations(filled.dsn, filled.recorded)
    assert [sentence for sentence in found if sentence.startswith(law)], found


@pytest.mark.parametrize("change", ["lost", "doubled", "swapped", "invented"])
def test_a_reader_that_was_given_another_list_is_found(filled: Filled, change: str) -> None:
    whole = list(filled.readings[0].events)
    lists: dict[str, list[Json]] = {
        "lost": [*whole[:2], *whole[3:]],
        "doubled": [*whole[:2], *whole[1:]],
        "swapped": [whole[1], whole[0], *whole[2:]],
        "invented": [*whole, {**whole[-1], "seq": len(whole) + 1}],
    }
    found = violations(filled.dsn, Recorded(readings=[Reading(str(filled.ended.session_id), 0, lists[change])]))
    assert len(found) == 1


def test_a_reader_that_left_early_read_the_beginning_of_the_rest(filled: Filled) -> None:
    early = Reading(str(filled.ended.session_id), 0, filled.readings[0].events[:3], complete=False)
    check(filled.dsn, Recorded(readings=[early]))


def test_an_acknowledged_event_that_is_nowhere_is_found(filled: Filled) -> None:
    lost = Acknowledged(str(filled.ended.id), str(uuid4()))
    assert len(violations(filled.dsn, Recorded(acknowledged=[lost]))) == 1


def test_a_process_that_outlived_its_run_is_found_and_that_of_a_live_run_is_not(filled: Filled) -> None:
    with marked_process(filled.live.session_id):
        check(filled.dsn)
    with marked_process(filled.ended.session_id) as pid:
        found = violations(filled.dsn)
        assert [sentence for sentence in found if f"a process outlived its run: {pid}" in sentence], found


@contextmanager
def marked_process(session_id: UUID) -> Iterator[int]:
    """One that an agent of the session might have left."""
    env = {**os.environ, "RUNYARD_SESSION_ID": str(session_id)}
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=env)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_the_checker_runs_from_the_command_line(filled: Filled, conn: Conn, tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    reading = {"sessionId": str(filled.ended.session_id), "after": 0, "events": filled.readings[0].events}
    acknowledged = [{"runId": one.run_id, "id": one.id} for one in filled.acknowledged]
    file.write_text(json.dumps({"acknowledged": acknowledged, "readings": [reading]}))
    command = [sys.executable, "-m", "tests.checker", filled.dsn, str(file)]
    whole = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (whole.returncode, whole.stdout) == (0, "ok\n")
    conn.execute("DELETE FROM usage_log")
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert broken.returncode == 1
    assert "it was not settled exactly once" in broken.stdout
