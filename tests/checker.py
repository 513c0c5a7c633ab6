"""The independent checker: `python -m tests.checker DSN [RECORDED.json]` says whether the log's promises are kept.

It reads the database, what sources and readers recorded, and the process table; it imports nothing of ours. Exit status
0 and `ok`, or 1 and a sentence for each violation. RECORDED.json is `{"acknowledged": [{"runId", "id"}], "readings":
[{"sessionId", "runId"?, "after", "events": [...], "complete"?}]}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg

AGENTS_MARK = "RUNYARD_SESSION_ID"
Json = dict[str, Any]


@dataclass(frozen=True)
class Acknowledged:
    """An event for which a source got a 2xx."""

    run_id: str
    id: str


@dataclass(frozen=True)
class Reading:
    """What one reader was given after its cursor, envelope by envelope. `complete`: it read up to the log's end."""

    session_id: str
    after: int
    events: Sequence[Json]
    run_id: str | None = None
    complete: bool = True


@dataclass(frozen=True)
class Recorded:
    """What sources and readers wrote down."""

    acknowledged: Sequence[Acknowledged] = ()
    readings: Sequence[Reading] = field(default_factory=list)


LAWS: dict[str, LiteralString] = {
    "its numbers are not 1 to last_seq": """
        SELECT log.session_id, 'count ' || count(e.seq) || ', least ' || min(e.seq) || ', greatest ' || max(e.seq)
            || ', last_seq ' || log.last_seq
        FROM session_logs AS log LEFT JOIN run_events AS e ON e.session_id = log.session_id
        GROUP BY log.session_id
        HAVING count(e.seq) <> log.last_seq
            OR (count(e.seq) > 0 AND (min(e.seq) <> 1 OR max(e.seq) <> log.last_seq))""",
    "an event is there twice": """
        SELECT run_id, 'id ' || id || ', ' || count(*) || ' times' FROM run_events
        WHERE run_id IS NOT NULL GROUP BY run_id, id HAVING count(*) > 1""",
    "the source's numbers have holes or are there twice": """
        SELECT run_id, 'attempt ' || attempt || ': ' || count(*) || ' events, ' || min(n) || ' to ' || max(n)
        FROM run_events WHERE n IS NOT NULL GROUP BY run_id, attempt
        HAVING min(n) <> 1 OR max(n) <> count(*) OR count(DISTINCT n) <> count(*)""",
    "last_n is not what is stored": """
        SELECT log.run_id, 'last_n ' || log.last_n || ', stored ' || COALESCE(max(e.n), 0)
        FROM session_logs AS log LEFT JOIN run_events AS e ON e.run_id = log.run_id AND e.attempt = log.attempt
        GROUP BY log.session_id HAVING log.last_n <> COALESCE(max(e.n), 0)""",
    "its log's head does not say that it writes there": """
        SELECT COALESCE(runs.id, log.session_id), 'run ' || COALESCE(runs.status::text, 'none') || ', head '
            || COALESCE(log.run_id::text, 'none')
        FROM session_logs AS log
        FULL JOIN (
            SELECT * FROM runs WHERE status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
        ) AS runs ON runs.session_id = log.session_id
        WHERE (log.run_id, log.attempt, log.run_epoch, log.key_generation)
                IS DISTINCT FROM (runs.id, runs.attempt, runs.epoch, runs.key_generation)
            OR log.stop_requested <> (COALESCE(runs.status::text, '') = 'cancelling')""",
    "its events stand elsewhere than it says": """
        SELECT runs.id, 'from ' || min(e.seq) || ' to ' || max(e.seq) || ', noted ' || COALESCE(runs.first_seq, 0)
            || ' to ' || COALESCE(runs.last_seq, 0)
        FROM runs JOIN run_events AS e ON e.run_id = runs.id
        GROUP BY runs.id
        HAVING min(e.seq) IS DISTINCT FROM runs.first_seq
            OR (max(e.seq) IS DISTINCT FROM runs.last_seq
                AND NOT EXISTS (SELECT 1 FROM session_logs AS log WHERE log.run_id = runs.id))""",
    "an event comes after the end without being late": """
        SELECT e.run_id, e.type || ' at ' || e.seq || ', ended at ' || f.seq
        FROM run_events AS f JOIN run_events AS e ON e.run_id = f.run_id AND e.seq > f.seq
        WHERE f.type = 'run.finished' AND NOT f.late AND NOT e.late""",
    "an event is late although its run had not ended": """
        SELECT e.run_id, e.type || ' at ' || e.seq FROM run_events AS e
        WHERE e.late AND NOT EXISTS (
            SELECT 1 FROM run_events AS f
            WHERE f.run_id = e.run_id AND f.seq < e.seq
                AND (f.type = 'run.retrying' OR (f.type = 'run.finished' AND NOT f.late)))""",
    "it has not exactly one end": """
        SELECT runs.id, runs.status || ', ' || count(e.seq) || ' times run.finished'
        FROM runs LEFT JOIN run_events AS e ON e.run_id = runs.id AND e.type = 'run.finished' AND NOT e.late
        GROUP BY runs.id
        HAVING count(e.seq) <> CASE WHEN runs.finished_at IS NULL THEN 0 ELSE 1 END""",
    "its end says another status": """
        SELECT runs.id, runs.status || ', the log says ' || (e.data ->> 'status')
        FROM runs JOIN run_events AS e ON e.run_id = runs.id AND e.type = 'run.finished' AND NOT e.late
        WHERE e.data ->> 'status' IS DISTINCT FROM runs.status::text""",
    "it was not settled exactly once": """
        SELECT runs.id, runs.status || ', ' || count(u.run_id) || ' rows of usage'
        FROM runs LEFT JOIN usage_log AS u ON u.run_id = runs.id
        GROUP BY runs.id
        HAVING count(u.run_id) <> CASE WHEN runs.finished_at IS NULL THEN 0 ELSE 1 END""",
    "it has ended and something is still asked": """
        SELECT h.id, h.status::text FROM human_requests AS h JOIN runs ON runs.id = h.run_id
        WHERE runs.finished_at IS NOT NULL AND h.settled_at IS NULL""",
    "it waits for nobody": """
        SELECT runs.id, runs.status::text FROM runs
        WHERE runs.status IN ('waiting', 'parked')
            AND NOT EXISTS (SELECT 1 FROM human_requests AS h WHERE h.run_id = runs.id AND h.status = 'open')""",
    "its agent was not put to rest": """
        SELECT runs.id, 'parked since ' || runs.parked_at
        FROM runs JOIN session_logs AS log ON log.run_id = runs.id
        WHERE runs.status = 'parked' AND log.lease_expires_at IS NOT NULL""",
    "it is live without a live lease": """
        SELECT id, status || ', lease ' || COALESCE(log.lease_expires_at::text, 'none')
            || ', lock ' || COALESCE(lock_expires_at::text, 'none')
        FROM runs LEFT JOIN session_logs AS log ON log.run_id = runs.id
        WHERE (status = 'starting' AND COALESCE(log.lease_expires_at, lock_expires_at, '-infinity') < now())
            OR (status IN ('running', 'waiting') AND COALESCE(log.lease_expires_at, '-infinity') < now())
            OR (status = 'cancelling' AND COALESCE(cancel_deadline_at, '-infinity') < now())""",
    "it is due, first in its queue, and nobody will take it": """
        SELECT runs.id, 'due since ' || runs.next_attempt_at FROM runs
        WHERE runs.status = 'queued' AND runs.next_attempt_at < now()
            AND NOT EXISTS (
                SELECT 1 FROM runs AS other
                WHERE other.session_id = runs.session_id AND other.id <> runs.id AND other.finished_at IS NULL
                    AND (other.status <> 'queued' OR other.position < runs.position))
            AND NOT EXISTS (
                SELECT 1 FROM procrastinate_jobs AS job
                WHERE job.task_name = 'execute_run' AND job.status IN ('todo', 'doing')
                    AND job.args ->> 'run_id' = runs.id::text)""",
    "two of its runs are live": """
        SELECT session_id, count(*) || ' live runs' FROM runs
        WHERE status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
        GROUP BY session_id HAVING count(*) > 1""",
    "its head is not the newest snapshot": """
        SELECT w.session_id, 'head ' || COALESCE(w.head_snapshot::text, 'none') || ', newest ' || newest.id
        FROM session_workers AS w
        JOIN LATERAL (
            SELECT id FROM snapshots AS s WHERE s.session_id = w.session_id ORDER BY number DESC LIMIT 1
        ) AS newest ON true
        WHERE w.head_snapshot IS DISTINCT FROM newest.id""",
    "a snapshot is of a later epoch than its session": """
        SELECT s.id, 'epoch ' || s.epoch || ', session ' || log.epoch
        FROM snapshots AS s JOIN session_logs AS log ON log.session_id = s.session_id WHERE s.epoch > log.epoch""",
    "a later snapshot is of an older epoch": """
        SELECT a.id, 'number ' || a.number || ' epoch ' || a.epoch || ', number ' || b.number || ' epoch ' || b.epoch
        FROM snapshots AS a
        JOIN snapshots AS b ON b.session_id = a.session_id AND b.number > a.number AND b.epoch < a.epoch""",
    "its worker was removed with unsaved changes": """
        SELECT w.session_id, 'dirty since ' || w.dirty_since FROM session_workers AS w
        WHERE w.status IN ('removing', 'absent') AND w.dirty_since IS NOT NULL
            AND NOT EXISTS (
                SELECT 1 FROM audit_log AS a WHERE a.session_id = w.session_id AND a.action = 'worker.force_removed'
            )""",
}
"""Each is a query for what breaks it: the id of the session, run or request, and the particulars."""


def violations(dsn: str, recorded: Recorded = Recorded(), *, stored: Set[str] | None = None) -> list[str]:
    """A sentence each; none when every promise is kept. Call it when all is quiet: nothing is in the middle then.

    `stored`: the keys of all objects in the store, if what is saved is to be looked for there.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET default_transaction_isolation = 'repeatable read'")
        with conn.transaction():
            found = [
                f"{law}: {subject} ({particulars})"
                for law, query in LAWS.items()
                for subject, particulars in conn.execute(query)
            ]
            found += lost_or_doubled(conn, recorded.acknowledged)
            found += [] if stored is None else without_objects(conn, stored)
            found += [sentence for reading in recorded.readings for sentence in misread(conn, reading)]
            return [*found, *orphans(conn)]


def check(dsn: str, recorded: Recorded = Recorded(), *, stored: Set[str] | None = None) -> None:
    """AssertionError with every violation."""
    found = violations(dsn, recorded, stored=stored)
    assert not found, "\n".join(found)


def without_objects(conn: psycopg.Connection, stored: Set[str]) -> Iterator[str]:
    for snapshot_id, objects in conn.execute("SELECT id, objects FROM snapshots"):
        missing = set(objects) - stored
        if missing:
            yield f"a snapshot is there without its objects: {snapshot_id} ({sorted(missing)})"


def lost_or_doubled(conn: psycopg.Connection, acknowledged: Sequence[Acknowledged]) -> Iterator[str]:
    for run_id in {each.run_id for each in acknowledged}:
        rows = conn.execute("SELECT id::text, count(*) FROM run_events WHERE run_id = %s GROUP BY id", [run_id])
        stored: dict[str, int] = dict(rows.fetchall())
        for each in acknowledged:
            if each.run_id == run_id and stored.get(each.id, 0) != 1:
                yield f"an acknowledged event is not there once: {each.id} of {run_id} ({stored.get(each.id, 0)} times)"


def misread(conn: psycopg.Connection, reading: Reading) -> Iterator[str]:
    """How the reader's list differs from the log after its cursor."""
    rows = conn.execute(
        """SELECT seq, id::text, type, late, data FROM run_events
        WHERE session_id = %(session)s AND seq > %(after)s AND (%(run)s::uuid IS NULL OR run_id = %(run)s)
        ORDER BY seq""",
        {"session": reading.session_id, "after": reading.after, "run": reading.run_id},
    ).fetchall()
    read = [(e["seq"], e["id"], e["type"], bool(e.get("late")), e["data"]) for e in reading.events]
    expected = rows if reading.complete else rows[: len(read)]
    if read != expected:
        where = next((i for i, (a, b) in enumerate(zip(read, expected, strict=False)) if a != b), len(read))
        yield (
            f"a reader's list is not the log's rest: {reading.session_id} after {reading.after} ({len(read)} read, "
            f"{len(expected)} stored; they part at place {where}: {[one[:3] for one in read[where : where + 2]]} "
            f"against {[one[:3] for one in expected[where : where + 2]]})"
        )


def orphans(conn: psycopg.Connection) -> Iterator[str]:
    """Processes of agents whose session has no live run."""
    live = {row[0] for row in conn.execute("SELECT session_id::text FROM runs WHERE finished_at IS NULL AND claim > 0")}
    known = {row[0] for row in conn.execute("SELECT id::text FROM sessions")}
    for process in psutil.process_iter():
        try:
            session_id = process.environ().get(AGENTS_MARK)
            if session_id in known - live and process.status() != psutil.STATUS_ZOMBIE:
                yield f"a process outlived its run: {process.pid} {process.name()} of {session_id}"
        except psutil.Error:
            continue


def read_recorded(file: Path) -> Recorded:
    said = json.loads(file.read_text(encoding="utf-8"))
    return Recorded(
        acknowledged=[Acknowledged(each["runId"], each["id"]) for each in said.get("acknowledged", [])],
        readings=[
            Reading(each["sessionId"], each["after"], each["events"], each.get("runId"), each.get("complete", True))
            for each in said.get("readings", [])
        ],
    )


def main(arguments: Sequence[str]) -> int:
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    found = violations(arguments[0], read_recorded(Path(arguments[1])) if len(arguments) == 2 else Recorded())
    print("\n".join(found) or "ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
