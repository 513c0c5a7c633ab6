"""What the test does to Runyard: over HTTP as clients and executors do, and by the verbs that a job worker calls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from handlers.runs.claim import claim_run
from handlers.runs.reconcile import ExecutorFacts, ReconcileLimits, carry_out, decide, overdue_runs
from handlers.runs.settle import RetryPolicy
from schema.signature import ATTEMPT_HEADER, callback_key, signed_headers
from schema.wire import Json
from tests.integration.functions.conftest import SECRET, Served
from tests.integration.log.model import Source

LIMITS = ReconcileLimits(lease_seconds=60)
AT_ONCE = RetryPolicy(delay_seconds=0)


@dataclass
class World:
    """`writer` takes what is reported; `teller`, another process, is read from: it learns of it by hints and polls."""

    conn: psycopg.Connection
    writer: Served
    teller: Served

    @cached_property
    def http(self) -> httpx.Client:
        return self.writer.client()

    def post(self, path: str, body: Json) -> tuple[int, Json]:
        answer = self.http.post(path, json=body)
        return answer.status_code, answer.json()

    def report(self, source: Source, events: list[Json], *, epoch: int) -> tuple[int, Json]:
        """Sign and send, as the source's executor or driver would."""
        body = json.dumps({"epoch": epoch, "attempt": source.attempt, "events": events}).encode()
        headers = {
            **signed_headers(source.key, body),
            ATTEMPT_HEADER: str(source.attempt),
            "Content-Type": "application/json",
        }
        answer = self.http.post(f"/api/runs/{source.run.id}/callbacks", content=body, headers=headers)
        return answer.status_code, answer.json()

    def claim(self, run_id: UUID) -> tuple[int, int, str] | None:
        """What a job does first, its own row gone with it: (attempt, epoch, key), or None."""
        gone = "DELETE FROM procrastinate_jobs WHERE task_name = 'execute_run' AND args ->> 'run_id' = %s"
        with self.conn.transaction():
            claimed = claim_run(self.conn, run_id, owner="test", lock_seconds=60)
            if claimed is None:
                return None
            self.conn.execute(gone, (str(run_id),))
        run = claimed.run
        key = callback_key(bytes.fromhex(SECRET), run_id=run.id, attempt=run.attempt, generation=1)
        return run.attempt, run.epoch or 0, key

    def give_up(self, run_id: UUID) -> None:
        """Nothing was heard of the run for too long, and a reconciler comes by."""
        expire = "UPDATE session_logs SET lease_expires_at = now() - interval '1 s' WHERE run_id = %s"
        self.conn.execute(expire, (run_id,))
        self.conn.execute("UPDATE runs SET cancel_deadline_at = now() - interval '1 s' WHERE id = %s", (run_id,))
        with self.conn.transaction():
            [seen] = [run for run in overdue_runs(self.conn, LIMITS) if run.id == run_id]
            decision = decide(seen, ExecutorFacts(reachable=False), well_for_seconds=1e9, limits=LIMITS)
            assert carry_out(self.conn, seen, decision, limits=LIMITS, policy=AT_ONCE)

    def cut_connections(self, *application_names: str) -> None:
        """Have PostgreSQL end these connections of the servers, and wait for it; without a name, all of them."""
        cut = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND (%(names)s::text[] = '{}' OR application_name = ANY (%(names)s))"""
        self.conn.execute(cut, {"names": list(application_names)})

    def last_seq(self, session_id: UUID) -> int:
        return int(self._value("SELECT last_seq FROM session_logs WHERE session_id = %s", session_id))

    def status(self, run_id: UUID) -> str:
        return str(self._value("SELECT status::text FROM runs WHERE id = %s", run_id))

    def told(self, session_id: UUID) -> list[tuple[str, bool]]:
        """What sources said, as the log has it."""
        select = "SELECT id::text, late FROM run_events WHERE session_id = %s AND author = 'executor' ORDER BY seq"
        return self.conn.execute(select, (session_id,)).fetchall()

    def seqs_of_run(self, run_id: UUID) -> list[tuple[int, bool]]:
        """The run's numbers in its session's log, and whether each is the run's end in time."""
        select = """SELECT seq, type = 'run.finished' AND NOT late FROM run_events WHERE run_id = %s ORDER BY seq"""
        return self.conn.execute(select, (run_id,)).fetchall()

    def _value(self, statement: str, id_: UUID) -> Any:
        found = self.conn.execute(statement, (id_,)).fetchone()
        assert found is not None
        return found[0]


DATA: dict[str, Json] = {
    "message.delta": {"messageId": "m1", "role": "assistant", "text": "x"},
    "run.started": {"provider": "demo", "agentSessionId": "conversation"},
    "run.finished": {"status": "succeeded", "stopReason": "end_turn"},
    "run.failed": {"status": "failed", "reason": {"code": "agent_crashed", "message": "It crashed."}},
    "run.warning": {"code": "agent_lost", "message": "The executor was restarted."},
    "human_loop.requested": {"kind": "permission", "title": "May I?", "fingerprint": "f", "options": []},
    "weather.changed": {"to": ["rain", None, 7]},
}


def event(source: Source, kind: str) -> Json:
    """The next thing that the source says, kept in its spool."""
    data = {**DATA[kind]}
    if kind == "human_loop.requested":
        data["requestId"] = str(uuid4())
    said: Json = {
        "id": str(uuid4()),
        "type": "run.finished" if kind == "run.failed" else kind,
        "at": datetime.now(UTC).isoformat(),
        "data": data,
    }
    if source.is_numbered:
        said["n"] = len(source.said) + 1
    source.said.append(said)
    return said
