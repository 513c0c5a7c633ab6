"""Limits on runs at a time, by chance against a model of the rules, and with many who claim at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import add_user
from handlers.apps.apps import AppSettings, add_app
from handlers.event_log import append, hold_session
from handlers.runs.claim import claim_run
from handlers.runs.limits import RunLimits, start_missed_throttled
from handlers.runs.settle import finish
from handlers.runs.start import Start, start_run
from handlers.runs.stop import stop_run
from schema.events import RunFinished
from schema.options import RunOptions
from schema.rows import AppRow
from schema.sql import Conn
from tests.integration.handlers.conftest import STOP, TRACEPARENT, run_now
from tests.thoroughness import by_chance, chances, times

CLAIMERS = 12
RUNS = times(60, 600)
pytestmark = pytest.mark.timeout(times(180, 3600))
TAKE_A_JOB = """DELETE FROM procrastinate_jobs WHERE id = (
    SELECT id FROM procrastinate_jobs WHERE task_name = 'execute_run' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING args ->> 'run_id'"""
LIVE = """SELECT user_id, app_id FROM runs WHERE status IN ('starting', 'running', 'waiting', 'cancelling')"""


@dataclass
class Claimer:
    """Claims and ends runs, as job workers and executors do."""

    conn: psycopg.Connection
    limits: RunLimits

    def start(self, actor: Actor, app: AppRow, session_id: UUID | None = None) -> UUID:
        wanted = Start(
            prompt="go",
            app_id=app.id,
            session_id=session_id,
            options=RunOptions(),
            max_attempts=3,
            traceparent=TRACEPARENT,
        )
        with self.conn.transaction():
            return start_run(self.conn, actor, wanted, stop_policy=STOP).run.id

    def take_a_job(self) -> UUID | None:
        row = self.conn.execute(TAKE_A_JOB).fetchone()
        return None if row is None else UUID(row[0])

    def claim(self, run_id: UUID) -> bool:
        with self.conn.transaction():
            return claim_run(self.conn, run_id, owner="test", lock_seconds=60, limits=self.limits) is not None

    def end(self, run_id: UUID) -> None:
        with self.conn.transaction():
            head = hold_session(self.conn, run_now(self.conn, run_id).session_id)
            self.conn.execute("UPDATE runs SET status = 'running' WHERE id = %s AND status = 'starting'", (run_id,))
            append(self.conn, head, finish(self.conn, run_now(self.conn, run_id), RunFinished(status="succeeded")))

    def wake(self) -> None:
        with self.conn.transaction():
            start_missed_throttled(self.conn, self.limits)

    def broken_limits(self, apps: list[AppRow]) -> list[str]:
        """A sentence for each limit that is exceeded now."""
        live = self.conn.execute(LIVE).fetchall()
        users, in_apps = Counter(user for user, _ in live), Counter(app for _, app in live)
        limits = self.limits
        broken = [f"{len(live)} runs"] if 0 < limits.system < len(live) else []
        broken += [f"{n} runs of a user" for n in users.values() if 0 < limits.per_user < n]
        for app in apps:
            limit = app.limits.get("concurrentRuns", limits.per_app)
            broken += [f"{in_apps[app.id]} runs of an app"] if 0 < limit < in_apps[app.id] else []
        return broken


@pytest.fixture
def people(conn: Conn, actor: Actor) -> list[Actor]:  # noqa: ARG001  for what it does
    return [actor_of(add_user(conn, name, "member")) for name in ("ann", "ben", "cleo")]


@pytest.fixture
def apps(conn: Conn) -> list[AppRow]:
    """One without a limit of its own, and one with."""
    return [add_app(conn, "wide", "demo"), add_app(conn, "narrow", "demo", AppSettings(limits={"concurrentRuns": 2}))]


@dataclass(eq=False)
class Run:
    """A run as the model has it; each is alone in its session."""

    id: UUID
    user: UUID
    app: UUID
    app_limit: int
    status: str = "queued"
    held_since: int | None = None


@dataclass
class Model:
    """The rules, told once more in plain words."""

    limits: RunLimits
    runs: list[Run] = field(default_factory=list)
    clock: int = 0

    def live(self, **of: UUID) -> int:
        return len([r for r in self.of("live") if all(getattr(r, name) == value for name, value in of.items())])

    def of(self, status: str) -> list[Run]:
        return [run for run in self.runs if run.status == status]

    def fits(self, run: Run) -> bool:
        places = (
            (self.limits.system, self.live()),
            (run.app_limit, self.live(app=run.app)),
            (self.limits.per_user, self.live(user=run.user)),
        )
        return all(limit == 0 or live < limit for limit, live in places)

    def comes_before(self, other: Run, run: Run) -> bool:
        """Whether both want the same place, and it is the other's turn."""
        rivals = self.limits.system or (run.app_limit and other.app == run.app)
        rivals = rivals or (self.limits.per_user and other.user == run.user)
        return bool(rivals) and self.turn(other) < self.turn(run)

    def turn(self, run: Run) -> tuple[int, int, UUID]:
        return (self.live(user=run.user), self.clock if run.held_since is None else run.held_since, run.id)

    def claim(self, run: Run) -> bool:
        """Whether it may go; it does, or is held."""
        if run.status != "queued":
            return False
        self.clock += 1
        held = [other for other in self.of("queued") if other.held_since is not None and other is not run]
        is_free = not any(self.fits(other) and self.comes_before(other, run) for other in held)
        if any((self.limits.system, self.limits.per_user, run.app_limit)) and not (self.fits(run) and is_free):
            run.held_since = self.clock if run.held_since is None else run.held_since
            return False
        run.status = "live"
        return True


KINDS = ["start", "start", "start", "claim", "job", "job", "end", "end", "stop"]
some_acts = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0)), min_size=10, max_size=40)
some_limits = st.builds(RunLimits, system=st.integers(0, 3), per_app=st.integers(0, 2), per_user=st.integers(0, 2))


@by_chance
@chances(25, 1000)
@given(limits=some_limits, acts=some_acts)
def check_rules(
    *, conn: psycopg.Connection, people: list[Actor], apps: list[AppRow], limits: RunLimits, acts: list[tuple[str, int]]
) -> None:
    conn.execute("DELETE FROM sessions")
    conn.execute("DELETE FROM procrastinate_jobs")
    claimer, model = Claimer(conn, limits), Model(limits)
    for act, pick in acts:
        one_act(claimer, model, people, apps, act, pick)
        assert claimer.broken_limits(apps) == []
    come_to_rest(claimer, model)
    assert [run.id for run in model.of("queued") if model.fits(run)] == [], "a place is free, and nobody takes it"
    held = {row[0] for row in conn.execute("SELECT id FROM runs WHERE held_by IS NOT NULL").fetchall()}
    assert held == {run.id for run in model.of("queued")}


def one_act(claimer: Claimer, model: Model, people: list[Actor], apps: list[AppRow], act: str, pick: int) -> None:
    queued, live = model.of("queued"), model.of("live")
    if act == "start":
        who, app = people[pick % 3], apps[pick // 3 % 2]
        limit = app.limits.get("concurrentRuns", model.limits.per_app)
        model.runs.append(Run(claimer.start(who, app), who.user_id, app.id, limit))
    elif act == "job":
        do_a_job(claimer, model)
    elif act == "claim" and queued:
        claim(claimer, model, queued[pick % len(queued)])
    elif act == "end" and live:
        run = live[pick % len(live)]
        claimer.end(run.id)
        run.status = "ended"
    elif act == "stop" and queued:
        run = queued[pick % len(queued)]
        with claimer.conn.transaction():
            stop_run(claimer.conn, next(who for who in people if who.user_id == run.user), run.id, policy=STOP)
        run.status = "ended"


def claim(claimer: Claimer, model: Model, run: Run) -> None:
    assert claimer.claim(run.id) == model.claim(run)


def do_a_job(claimer: Claimer, model: Model) -> bool:
    """Whether there was one."""
    run_id = claimer.take_a_job()
    if run_id is not None:
        claim(claimer, model, next(run for run in model.runs if run.id == run_id))
    return run_id is not None


def come_to_rest(claimer: Claimer, model: Model) -> None:
    """All jobs are done, and those that the duty finds missing."""
    while do_a_job(claimer, model):
        pass
    claimer.wake()
    while do_a_job(claimer, model):
        claimer.wake()


def test_limits_and_turns_are_as_the_rules_say(
    conn: psycopg.Connection, people: list[Actor], apps: list[AppRow]
) -> None:
    check_rules(conn=conn, people=people, apps=apps)


@pytest.fixture
def claimers(database: str) -> Iterator[list[Claimer]]:
    limits = RunLimits(system=4, per_app=3, per_user=2)
    conns = [psycopg.connect(database, autocommit=True) for _ in range(CLAIMERS)]
    yield [Claimer(conn, limits) for conn in conns]
    for conn in conns:
        conn.close()


def test_many_who_claim_at_once_never_exceed_a_limit_and_do_all(
    conn: psycopg.Connection, people: list[Actor], apps: list[AppRow], claimers: list[Claimer]
) -> None:
    claimer = claimers[0]
    sessions: list[Any] = [None] * 3
    for n in range(RUNS):
        # some alone, some one behind the other
        who, app = people[n % 3], apps[n // 3 % 2]
        run_id = claimer.start(who, app, sessions[n % 3] if n % 4 == 0 and app is apps[0] else None)
        if n // 3 % 2 == 0 and sessions[n % 3] is None:
            sessions[n % 3] = run_now(conn, run_id).session_id
    done, broken, ended = Counter[UUID](), list[str](), threading.Event()

    def work(claimer: Claimer) -> None:
        while not ended.wait(0.001):
            run_id = claimer.take_a_job()
            if run_id is None:
                claimer.wake()
            elif claimer.claim(run_id):
                broken.extend(claimer.broken_limits(apps))
                done[run_id] += 1
                claimer.end(run_id)
            if len(done) == RUNS:
                ended.set()

    with ThreadPoolExecutor(CLAIMERS) as pool:
        working = [pool.submit(work, claimer) for claimer in claimers]
        ended.wait(times(60, 600))
        ended.set()
        for each in working:
            each.result(30)
    assert broken == []
    assert set(done.values()) == {1}
    assert len(done) == RUNS
