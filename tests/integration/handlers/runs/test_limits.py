"""Runs beyond a limit are held in their queues, and let go in fair turns; no limit costs nothing."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import add_user
from handlers.apps.apps import AppSettings, add_app
from handlers.runs.bind import Bind, bind_run
from handlers.runs.claim import Claimed, claim_run
from handlers.runs.limits import NO_LIMITS, RunLimits, start_missed_throttled
from handlers.runs.queue import QueueEdit, QueuePosition, edit_queued, session_queue
from handlers.runs.reconcile import ReconcileLimits, overdue_runs
from handlers.runs.start import Start, start_run
from handlers.runs.stop import stop_run
from schema.options import RunOptions
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import STOP, TRACEPARENT, call_back, finished, jobs, log_of, run_now
from tests.integration.log.laws import broken_laws

pytestmark = pytest.mark.both_postgres
ONE = RunLimits(system=1)


@pytest.fixture
def people(conn: Conn, actor: Actor) -> list[Actor]:  # noqa: ARG001  for what it does
    return [actor_of(add_user(conn, name, "member")) for name in ("ann", "ben", "cleo")]


def start_for(conn: Conn, actor: Actor, prompt: str = "go", **changes: object) -> RunRow:
    wanted = Start(
        prompt=prompt,
        **{"options": RunOptions(), "max_attempts": 3, "traceparent": TRACEPARENT, **changes},  # type: ignore[arg-type]
    )
    with conn.transaction():
        return start_run(conn, actor, wanted, stop_policy=STOP).run


def take(conn: Conn, run_id: UUID, limits: RunLimits) -> Claimed | None:
    """What the run's job does, its own row gone with it."""
    conn.execute("DELETE FROM procrastinate_jobs WHERE args ->> 'run_id' = %s", (str(run_id),))
    with conn.transaction():
        return claim_run(conn, run_id, owner="test", lock_seconds=60, limits=limits)


def taken(conn: Conn, run_id: UUID, limits: RunLimits) -> RunRow:
    claimed = take(conn, run_id, limits)
    assert claimed is not None
    return claimed.run


def held_by(conn: Conn, run_id: UUID) -> str | None:
    return run_now(conn, run_id).held_by


def next_job(conn: Conn) -> UUID | None:
    """The run that the newest job is for, once all of this test's own are taken."""
    found = conn.execute(
        "SELECT args ->> 'run_id' FROM procrastinate_jobs WHERE task_name = 'execute_run' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return None if found is None else UUID(found[0])


def wake(conn: Conn, limits: RunLimits) -> None:
    with conn.transaction():
        start_missed_throttled(conn, limits)


@pytest.mark.parametrize(
    ("limits", "by"), [(ONE, "system"), (RunLimits(per_user=1), "user"), (RunLimits(per_app=1), "app")]
)
def test_a_run_beyond_a_limit_is_held_and_starts_when_a_place_is_free(
    conn: Conn, people: list[Actor], limits: RunLimits, by: str
) -> None:
    first, second = [start_for(conn, people[0]) for _ in range(2)]
    live = taken(conn, first.id, limits)
    assert take(conn, second.id, limits) is None
    assert (held_by(conn, second.id), jobs(conn, "execute_run", second.id)) == (by, 0)
    told = log_of(conn, second.id)[-1]
    assert (told.type, told.data["heldBy"]) == ("run.held", by)
    call_back(conn, live, finished(1))
    assert jobs(conn, "execute_run", second.id) == 1
    assert taken(conn, second.id, limits).held_by is None
    assert broken_laws(conn, second.session_id) == []


def test_being_held_is_told_once(conn: Conn, people: list[Actor]) -> None:
    first, second = [start_for(conn, people[0]) for _ in range(2)]
    taken(conn, first.id, ONE)
    for _ in range(3):
        assert take(conn, second.id, ONE) is None
    assert [entry.type for entry in log_of(conn, second.id)] == ["run.queued", "run.held"]


def test_runs_of_other_users_and_apps_are_not_held_by_what_is_not_theirs(conn: Conn, people: list[Actor]) -> None:
    ann, ben, _ = people
    other_app = add_app(conn, "other", "demo")
    taken(conn, start_for(conn, ann).id, RunLimits(per_user=1))
    assert take(conn, start_for(conn, ben).id, RunLimits(per_user=1)) is not None
    assert take(conn, start_for(conn, ann, app_id=other_app.id).id, RunLimits(per_app=1)) is not None


def test_an_apps_own_limit_counts_with_and_without_one_of_the_deployment(conn: Conn, people: list[Actor]) -> None:
    app = add_app(conn, "narrow", "demo", AppSettings(limits={"concurrentRuns": 1}))
    for limits in (NO_LIMITS, RunLimits(per_app=50)):
        first, second = [start_for(conn, people[0], app_id=app.id) for _ in range(2)]
        live = taken(conn, first.id, limits)
        assert take(conn, second.id, limits) is None
        assert held_by(conn, second.id) == "app"
        call_back(conn, live, finished(1))
        call_back(conn, taken(conn, second.id, limits), finished(1))


def test_the_place_goes_to_the_user_with_the_fewest_live_runs(conn: Conn, people: list[Actor]) -> None:
    ann, ben, _ = people
    limits = RunLimits(system=2)
    live = [taken(conn, start_for(conn, ann).id, limits) for _ in range(2)]
    waits_longer, waits = start_for(conn, ann), start_for(conn, ben)
    assert [take(conn, run.id, limits) for run in (waits_longer, waits)] == [None, None]
    call_back(conn, live[0], finished(1))
    assert take(conn, waits_longer.id, limits) is None, "it has waited longer, but its user has another live run"
    assert next_job(conn) == waits.id
    assert take(conn, waits.id, limits) is not None


def test_among_equals_the_one_held_longest_goes_first(conn: Conn, people: list[Actor]) -> None:
    ann, ben, cleo = people
    live = taken(conn, start_for(conn, ann).id, ONE)
    first, second = start_for(conn, ben), start_for(conn, cleo)
    assert [take(conn, run.id, ONE) for run in (first, second)] == [None, None]
    call_back(conn, live, finished(1))
    assert next_job(conn) == first.id
    assert take(conn, second.id, ONE) is None
    assert take(conn, first.id, ONE) is not None


def test_the_next_run_of_a_busy_session_does_not_pass_by_who_is_held(conn: Conn, people: list[Actor]) -> None:
    ann, ben, _ = people
    live = taken(conn, start_for(conn, ann).id, ONE)
    mine = start_for(conn, ann, session_id=live.session_id)
    theirs = start_for(conn, ben)
    assert take(conn, theirs.id, ONE) is None
    call_back(conn, live, finished(1))
    assert take(conn, mine.id, ONE) is None
    assert take(conn, theirs.id, ONE) is not None


def test_a_claim_lets_the_next_go_while_there_is_room(conn: Conn, people: list[Actor]) -> None:
    live = taken(conn, start_for(conn, people[0]).id, ONE)
    waiting = [start_for(conn, people[0]) for _ in range(3)]
    assert [take(conn, run.id, ONE) for run in waiting] == [None] * 3
    raised = RunLimits(system=3)
    wake(conn, raised)
    for run in waiting[:2]:
        assert next_job(conn) == run.id
        assert take(conn, run.id, raised) is not None
    assert next_job(conn) is None
    call_back(conn, live, finished(1))
    assert next_job(conn) == waiting[2].id


def test_limits_that_are_taken_away_let_all_go(conn: Conn, people: list[Actor]) -> None:
    taken(conn, start_for(conn, people[0]).id, ONE)
    waiting = [start_for(conn, people[0]) for _ in range(3)]
    assert [take(conn, run.id, ONE) for run in waiting] == [None] * 3
    wake(conn, NO_LIMITS)
    for run in waiting:
        assert next_job(conn) == run.id
        assert take(conn, run.id, NO_LIMITS) is not None


def test_a_missed_place_is_found_and_its_job_is_not_doubled(conn: Conn, people: list[Actor]) -> None:
    live = taken(conn, start_for(conn, people[0]).id, ONE)
    waiting = start_for(conn, people[0])
    assert take(conn, waiting.id, ONE) is None
    wake(conn, ONE)
    assert next_job(conn) is None
    call_back(conn, live, finished(1))
    conn.execute("DELETE FROM procrastinate_jobs")
    for _ in range(2):
        wake(conn, ONE)
    assert jobs(conn, "execute_run", waiting.id) == 1


def test_bound_and_parked_runs_take_no_place(conn: Conn, people: list[Actor]) -> None:
    ann, ben, _ = people
    wanted = Bind(run_id=UUID(int=1), session_id=None, provider="else", prompt="x", title=None, traceparent=TRACEPARENT)
    with conn.transaction():
        bind_run(conn, ann, wanted, secret=bytes(32), lease_seconds=60)
    parked = taken(conn, start_for(conn, ann).id, ONE)
    for status in ("running", "waiting", "parked"):
        conn.execute("UPDATE runs SET status = %s WHERE id = %s", (status, parked.id))
    assert take(conn, start_for(conn, ben).id, ONE) is not None


def test_a_held_run_that_is_taken_out_lets_its_sessions_next_one_wait(conn: Conn, people: list[Actor]) -> None:
    ann = people[0]
    taken(conn, start_for(conn, ann).id, ONE)
    held = start_for(conn, ann)
    behind = start_for(conn, ann, session_id=held.session_id)
    assert take(conn, held.id, ONE) is None
    with conn.transaction():
        stop_run(conn, ann, held.id, policy=STOP)
    assert (held_by(conn, held.id), next_job(conn)) == (None, behind.id)
    assert take(conn, behind.id, ONE) is None
    assert held_by(conn, behind.id) == "system"


@pytest.mark.parametrize("way", ["move", "interrupt"])
def test_whoever_goes_before_a_held_run_waits_in_its_place(conn: Conn, people: list[Actor], way: str) -> None:
    ann, ben, _ = people
    live = taken(conn, start_for(conn, ann).id, ONE)
    held = start_for(conn, ann)
    assert take(conn, held.id, ONE) is None
    since = run_now(conn, held.id).held_since
    assert take(conn, start_for(conn, ben).id, ONE) is None
    multitask = "interrupt" if way == "interrupt" else "enqueue"
    instead = start_for(conn, ann, session_id=held.session_id, multitask=multitask)
    if way == "move":
        with conn.transaction():
            edit_queued(conn, ann, instead.id, QueueEdit(revision=1, place=QueuePosition("first")))
    assert held_by(conn, held.id) is None
    assert (run_now(conn, instead.id).held_by, run_now(conn, instead.id).held_since) == ("system", since)
    assert broken_laws(conn, held.session_id) == []
    call_back(conn, live, finished(1))
    assert next_job(conn) == instead.id
    assert take(conn, instead.id, ONE) is not None


def test_the_place_among_the_held_is_shown(conn: Conn, people: list[Actor]) -> None:
    ann, ben, cleo = people
    taken(conn, start_for(conn, ann).id, ONE)
    held = [start_for(conn, who) for who in (ann, ben, cleo)]
    assert [take(conn, run.id, ONE) for run in held] == [None] * 3
    shown = session_queue(conn, ann, held[0].session_id, after=None, limit=1).items
    assert (shown[0].held_by, shown[0].held_position) == ("system", 2), "the others have no live run"
    assert session_queue(conn, cleo, held[2].session_id, after=None, limit=1).items[0].held_position == 1


def test_a_held_run_is_not_overdue(conn: Conn, people: list[Actor]) -> None:
    taken(conn, start_for(conn, people[0]).id, ONE)
    held = start_for(conn, people[0])
    assert take(conn, held.id, ONE) is None
    conn.execute("UPDATE runs SET next_attempt_at = now() - interval '1 hour'")
    assert overdue_runs(conn, ReconcileLimits(lease_seconds=60)) == []


def test_without_limits_nothing_is_locked(conn: Conn, people: list[Actor]) -> None:
    run = start_for(conn, people[0])
    with conn.transaction():
        assert claim_run(conn, run.id, owner="test", lock_seconds=60) is not None
        locks = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        ).fetchone()
    assert locks == (0,)


def take_while(conn: Conn, run_id: UUID, host_fault: str | None, *, limits: RunLimits = NO_LIMITS) -> Claimed | None:
    """What the run's job does on a host with this fault, its own row gone with it."""
    claim = partial(claim_run, conn, run_id, owner="test", lock_seconds=60, limits=limits)
    conn.execute("DELETE FROM procrastinate_jobs WHERE args ->> 'run_id' = %s", (str(run_id),))
    with conn.transaction():
        return claim(host_fault=host_fault, away=["host"] if host_fault else [])


def has_worker(conn: Conn, run: RunRow) -> None:
    """Give the run's session an active session worker."""
    conn.execute(
        "INSERT INTO session_workers (session_id, status, epoch, host, base_url) "
        "VALUES (%s, 'active', 1, 'docker', 'http://127.0.0.1:1')",
        (run.session_id,),
    )
    conn.commit()


def test_a_run_waits_for_a_host_that_cannot_start_workers_and_no_attempt_is_burnt(conn: Conn, actor: Actor) -> None:
    run = start_for(conn, actor)
    for _ in range(5):
        assert take_while(conn, run.id, "The engine does not answer.") is None
    waiting = run_now(conn, run.id)
    assert (waiting.status, waiting.attempt, held_by(conn, run.id)) == ("queued", run.attempt, "host")
    [held] = [event for event in log_of(conn, run.id) if event.type == "run.held"]
    assert held.data["heldBy"] == "host"
    assert held.data["message"].startswith("No session worker can be started: The engine does not answer.")
    wake(conn, NO_LIMITS)
    assert next_job(conn) == run.id
    claimed = take_while(conn, run.id, None)
    assert claimed is not None
    assert claimed.run.attempt == 1
    assert held_by(conn, run.id) is None


def test_a_run_whose_worker_is_at_work_does_not_wait_for_the_host(conn: Conn, actor: Actor) -> None:
    run = start_for(conn, actor)
    has_worker(conn, run)
    assert take_while(conn, run.id, "The engine does not answer.") is not None


def test_a_run_behind_another_is_not_said_to_wait_for_the_host(conn: Conn, actor: Actor) -> None:
    first = start_for(conn, actor)
    second = start_for(conn, actor, session_id=first.session_id)
    assert take_while(conn, second.id, "The engine does not answer.") is None
    assert held_by(conn, second.id) is None


@pytest.mark.parametrize("limits", [RunLimits(system=50), RunLimits(per_app=50), RunLimits(per_user=50)])
def test_a_run_that_waits_for_the_host_goes_before_no_run_that_needs_none(
    conn: Conn, actor: Actor, limits: RunLimits
) -> None:
    waits, ready, next_ready = [start_for(conn, actor) for _ in range(3)]
    has_worker(conn, ready)
    assert take_while(conn, waits.id, "The engine does not answer.", limits=limits) is None
    assert held_by(conn, waits.id) == "host"
    assert take_while(conn, ready.id, "The engine does not answer.", limits=limits) is not None
    assert jobs(conn, "execute_run", waits.id) == 0, "it would only be held again"
    assert take_while(conn, next_ready.id, None, limits=limits) is None, (
        "with the host well, the longest held goes first"
    )
    assert next_job(conn) == waits.id
