"""What must hold of a session at every moment between two transactions, read from the database alone."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg

LIVE = ("starting", "running", "waiting", "parked", "cancelling")
FINAL = ("succeeded", "failed", "cancelled", "blocked")

_EVENTS = "SELECT seq, run_id, type, late, attempt, n, id FROM run_events WHERE session_id = %s ORDER BY seq"
_RUNS = """
SELECT runs.id, runs.status::text, usage_log.run_id IS NOT NULL,
    (SELECT count(*) FROM human_requests WHERE run_id = runs.id AND status IN ('open', 'answered', 'delivering')),
    (SELECT count(*) FROM procrastinate_jobs AS job
     WHERE job.task_name = 'execute_run' AND job.status = 'todo' AND job.args ->> 'run_id' = runs.id::text),
    runs.held_by IS NOT NULL
FROM runs LEFT JOIN usage_log ON usage_log.run_id = runs.id
WHERE runs.session_id = %s
ORDER BY runs.status = 'queued', runs.position
"""


def broken_laws(conn: psycopg.Connection, session_id: UUID) -> list[str]:
    """A sentence for each law that does not hold; none when all is well."""
    return [*_of_the_log(conn, session_id), *_of_the_runs(conn, session_id)]


def _of_the_log(conn: psycopg.Connection, session_id: UUID) -> Iterator[str]:
    events = conn.execute(_EVENTS, (session_id,)).fetchall()
    seqs = [event[0] for event in events]
    if seqs != list(range(1, len(seqs) + 1)):
        yield f"the log has gaps: {seqs}"
    head = conn.execute("SELECT last_seq FROM session_logs WHERE session_id = %s", (session_id,)).fetchone()
    if head != (len(seqs),):
        yield f"the log's head says {head}, and there are {len(seqs)} events"
    numbers = [(*event[4:6], event[1]) for event in events if event[5] is not None]
    if len(numbers) != len(set(numbers)):
        yield "a number of a source stands twice"
    ids = [(event[1], event[6]) for event in events]
    if len(ids) != len(set(ids)):
        yield "an event stands twice"


def _of_the_runs(conn: psycopg.Connection, session_id: UUID) -> Iterator[str]:
    runs = conn.execute(_RUNS, (session_id,)).fetchall()
    live = [run_id for run_id, status, *_ in runs if status in LIVE]
    if len(live) > 1:
        yield f"{len(live)} runs live at once"
    for run_id, status, is_settled, waiting, *_ in runs:
        is_final = status in FINAL
        if is_settled != is_final:
            yield f"run {run_id} is {status}, and its usage is {'' if is_settled else 'not '}settled"
        if is_final and waiting:
            yield f"run {run_id} has ended, and {waiting} requests of it wait"
        yield from _of_a_runs_end(conn, run_id, is_final=is_final)
    queued = [run for run in runs if run[1] == "queued"]
    if queued and not live and not any(queued[0][4:]):
        yield f"run {queued[0][0]} is next, no job will start it, and no limit holds it"
    held = [run[0] for run in runs if run[5]]
    if set(held) - {run[0] for run in queued[:1]}:
        yield f"runs {held} are held, but they are not all next"


def _of_a_runs_end(conn: psycopg.Connection, run_id: UUID, *, is_final: bool) -> Iterator[str]:
    """One end in time, and after it nothing but what is late."""
    events = conn.execute("SELECT type, late FROM run_events WHERE run_id = %s ORDER BY seq", (run_id,)).fetchall()
    in_time = [type_ for type_, late in events if not late]
    if in_time[:1] != ["run.queued"]:
        yield f"run {run_id} begins with {in_time[:1]}"
    ends = in_time.count("run.finished")
    if ends != is_final:
        yield f"run {run_id} has {ends} ends"
    if is_final and ends and in_time[-1] != "run.finished":
        yield f"run {run_id} goes on after its end: {in_time}"
