"""What can happen to a run that asks people: the steps of a state machine, which other files judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from handlers.access.permissions import Actor
from handlers.human_loop.expiry import expire
from handlers.human_loop.reply import HumanReply, begin_delivery, reply, void_answer
from handlers.runs.parking import record_quiesced
from handlers.runs.reconcile import ExecutorFacts, ReconcileLimits, carry_out, decide, overdue_runs
from handlers.runs.stop import settle_stopped, stop_run
from schema.errors import AlreadyAnswered
from schema.human_policy import HumanPolicy
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import NO_DELAY, STOP, StartOne, call_back, claim, run_now
from tests.integration.handlers.human_loop.agent_model import ExecutorModel, Told
from tests.integration.handlers.human_loop.worker_model import WorkerModel

LIMITS = ReconcileLimits(lease_seconds=60)
DECISIONS = st.sampled_from(["allow", "allow", "deny", "allow_always", "cancel"])
CALLS = st.sampled_from(["write a", "write b"])
POLICIES = st.sampled_from(
    [
        HumanPolicy(on_expiry="deny", expiry_seconds=3600),
        HumanPolicy(on_expiry="park", expiry_seconds=3600),
        HumanPolicy(
            on_expiry="escalate", expiry_seconds=3600, escalate_to="role:admin", escalation_seconds=60, then="park"
        ),
    ]
)
picks = st.integers(0, 10**6)


class HumanLoopSteps(RuleBasedStateMachine):
    conn: Conn
    people: tuple[Actor, Actor]
    start: StartOne

    @initialize(policy=POLICIES)
    def begin(self, policy: HumanPolicy) -> None:
        self.told = Told()
        self.executor: ExecutorModel | None = None
        self.seen: dict[UUID, str] = {}
        self.decided_by: dict[UUID, str] = {}
        started = self.start(human_loop=policy, max_attempts=20)
        self.run_id = started.run.id
        self.worker = WorkerModel(self.conn, started.run.session_id)

    @property
    def run(self) -> RunRow:
        return run_now(self.conn, self.run_id)

    def requests(self, *statuses: str) -> list[UUID]:
        query = "SELECT id FROM human_requests WHERE run_id = %s AND status::text = ANY(%s) ORDER BY requested_at, id"
        return [row[0] for row in self.conn.execute(query, (self.run_id, list(statuses)))]

    @property
    def is_at_work(self) -> bool:
        """An agent may still be told something in the moment in which its run is parked."""
        is_alive = self.executor is not None and self.executor.is_alive
        return is_alive and self.run.status in ("running", "waiting", "parked")

    @precondition(lambda self: self.run.status == "queued")
    @rule()
    def claim(self) -> None:
        on_their_way = set(self.requests("answered", "delivering"))
        claimed = claim(self.conn, self.run_id)
        assert claimed is not None
        assert on_their_way <= {carried.request_id for carried in claimed.answers}, "an answer was lost"
        self.worker.activate()
        self.executor = ExecutorModel(replace(claimed, run=self.run), self.told)

    @precondition(lambda self: self.executor is not None and self.executor.spool)
    @rule(is_repeated=st.booleans())
    def report(self, is_repeated: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        """What it has said arrives, perhaps twice, or too late."""
        assert self.executor is not None
        run, events = self.executor.claimed.run, list(self.executor.spool)
        if (self.run.attempt, self.run.epoch) == (run.attempt, run.epoch) and self.run.status != "queued":
            call_back(self.conn, run, *events)
            if is_repeated and run_now(self.conn, self.run_id).status != "queued":
                call_back(self.conn, run, *events)
        self.executor.spool.clear()

    @precondition(lambda self: self.is_at_work)
    @rule(call=CALLS)
    def ask(self, call: str) -> None:
        assert self.executor is not None
        self.executor.ask(call)
        self.report(is_repeated=False)

    @precondition(lambda self: self.requests("open", "answered", "delivering", "applied", "void", "expired"))
    @rule(pick=picks, decision=DECISIONS, who=st.integers(0, 1))
    def answer(self, pick: int, decision: Any, who: int) -> None:
        known = self.requests("open", "answered", "delivering", "applied", "void", "expired")
        request_id = known[pick % len(known)]
        was_open = request_id in self.requests("open")
        assert self.replies(request_id, decision, self.people[who]) == was_open

    @precondition(lambda self: self.requests("open"))
    @rule(pick=picks, first=DECISIONS, second=DECISIONS)
    def both_answer(self, pick: int, first: Any, second: Any) -> None:
        """Two people answer the same request: the first one decides."""
        known = self.requests("open")
        request_id = known[pick % len(known)]
        assert self.replies(request_id, first, self.people[0])
        assert not self.replies(request_id, second, self.people[1])

    def replies(self, request_id: UUID, decision: Any, person: Actor) -> bool:
        """Answer as this person. Return False when the request is decided already."""
        open_before = set(self.requests("open"))
        try:
            with self.conn.transaction():
                reply(self.conn, person, HumanReply(request_id=request_id, decision=decision), stop_policy=STOP)
        except AlreadyAnswered:
            return False
        self.decided_by[request_id] = person.author
        for equal in open_before - set(self.requests("open", "cancelled")):
            self.decided_by[equal] = person.author
        return True

    @precondition(lambda self: self.requests("answered", "delivering", "expired"))
    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        known = self.requests("answered", "delivering", "expired")
        self.deliver_one(known[pick % len(known)])

    def deliver_one(self, request_id: UUID) -> None:
        with self.conn.transaction():
            delivery = begin_delivery(self.conn, request_id)
        if delivery is None or self.executor is None:
            return
        if not self.executor.take(delivery.answer):
            with self.conn.transaction():
                void_answer(self.conn, delivery.request.id, told="nothing")

    @precondition(lambda self: self.is_at_work and self.executor is not None and self.executor.untold)
    @rule(dies=st.booleans())
    def tell(self, dies: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        assert self.executor is not None
        if dies:
            self.executor.tell_without_a_word()
        else:
            self.executor.tell()

    @precondition(lambda self: self.requests("open"))
    @rule(pick=picks)
    def expire(self, pick: int) -> None:
        known = self.requests("open")
        request_id = known[pick % len(known)]
        past = "UPDATE human_requests SET expires_at = now() - interval '1 s' WHERE id = %s AND expires_at IS NOT NULL"
        self.conn.execute(past, (request_id,))
        for _ in range(2):
            with self.conn.transaction():
                expire(self.conn, request_id)

    @precondition(lambda self: self.run.status == "parked" and self.executor is not None)
    @rule()
    def come_to_rest(self) -> None:
        """Its agent has ended, and all that it said is in the log."""
        assert self.executor is not None
        self.executor.end()
        self.report(is_repeated=False)
        with self.conn.transaction():
            record_quiesced(self.conn, self.run_id, attempt=self.run.attempt, has_all_events=True)

    @precondition(lambda self: self.run.status == "parked")
    @rule()
    def come_to_rest_without_a_word(self) -> None:
        """Its place is gone."""
        self.executor = None
        with self.conn.transaction():
            record_quiesced(self.conn, self.run_id, attempt=self.run.attempt, has_all_events=False)

    @precondition(lambda self: self.executor is not None and self.executor.is_alive)
    @rule()
    def kill_the_executor(self) -> None:
        assert self.executor is not None
        self.executor.kill()

    @precondition(lambda self: self.run.status in ("running", "waiting"))
    @rule()
    def lose_the_place(self) -> None:
        """Nobody will ever say what its agent was told."""
        self.conn.execute(
            "UPDATE session_logs SET lease_expires_at = now() - interval '1 s' WHERE run_id = %s", (self.run_id,)
        )
        [seen] = [run for run in overdue_runs(self.conn, LIMITS) if run.id == self.run_id]
        decision = decide(seen, ExecutorFacts(reachable=False), well_for_seconds=1e9, limits=LIMITS)
        with self.conn.transaction():
            carry_out(self.conn, seen, decision, limits=LIMITS, policy=NO_DELAY)
        self.executor = None

    @precondition(lambda self: self.worker.starts and self.run.status in ("waiting", "parked", "running"))
    @rule()
    def start_the_worker_again(self) -> None:
        """Its executor restarts, or another secret key is announced."""
        before = self.requests("open"), self.run.status
        epoch, had_volume = self.run.epoch, self.worker.has_volume
        assert (self.worker.activate() == epoch) == had_volume
        assert (self.requests("open"), self.run.status) == before

    @precondition(lambda self: self.worker.starts and self.run.lease_expires_at is None and self.run.status == "parked")
    @rule()
    def stop_the_worker(self) -> None:
        self.worker.stop()
        self.executor = None

    @precondition(lambda self: self.worker.has_volume and self.run.status in ("waiting", "parked"))
    @rule()
    def remove_the_worker(self) -> None:
        """Nobody can remove it while a run needs it."""
        run = self.run
        is_free = run.status == "parked" and run.lease_expires_at is None
        assert self.worker.remove() == is_free
        if is_free:
            self.executor = None

    @precondition(lambda self: self.worker.starts and self.run.status in ("running", "waiting"))
    @rule()
    def lose_the_volume(self) -> None:
        """The next activation begins an epoch."""
        self.worker.has_volume = False
        self.worker.activate()
        self.executor = None
        assert self.run.status not in ("running", "waiting")

    @precondition(lambda self: self.is_at_work and self.run.status == "running")
    @rule()
    def finish(self) -> None:
        assert self.executor is not None
        self.executor.finish()

    @rule(is_meant=st.sampled_from([False, False, False, True]))
    def stop(self, is_meant: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        if is_meant:
            with self.conn.transaction():
                stop_run(self.conn, self.people[1], self.run_id, policy=STOP)

    @precondition(lambda self: self.run.status == "cancelling")
    @rule()
    def settle_the_stop(self) -> None:
        with self.conn.transaction():
            settle_stopped(self.conn, self.run_id, message="stopped")
