"""Requests, answers, time-outs, cancels, crashes and duplicates in any order: one effect an answer, and no orphan."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from handlers.access.permissions import Actor
from handlers.event_log import run_events
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
from tests.thoroughness import by_chance, chances

LIMITS = ReconcileLimits(lease_seconds=60)
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
NEXT = {
    "open": {"answered", "expired", "cancelled"},
    "answered": {"delivering", "applied", "void"},
    "delivering": {"answered", "applied", "void"},
}
"""What may follow; what is not here is final. `delivering` goes back when the agent certainly was not told."""
picks = st.integers(0, 10**6)


class HumanLoop(RuleBasedStateMachine):
    conn: Conn
    actor: Actor
    start: StartOne

    @initialize(policy=POLICIES)
    def begin(self, policy: HumanPolicy) -> None:
        self.told = Told()
        self.executor: ExecutorModel | None = None
        self.seen: dict[UUID, str] = {}
        self.run_id = self.start(human_loop=policy, max_attempts=20).run.id

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
        claimed = claim(self.conn, self.run_id)
        assert claimed is not None
        self.executor = ExecutorModel(claimed, self.told)

    @precondition(lambda self: self.executor is not None and self.executor.spool)
    @rule(is_repeated=st.booleans())
    def report(self, is_repeated: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        """What it has said arrives, perhaps twice, or too late."""
        assert self.executor is not None
        run, events = self.executor.claimed.run, list(self.executor.spool)
        if self.run.attempt == run.attempt and self.run.status != "queued":
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
    @rule(pick=picks, decision=st.sampled_from(["allow", "allow", "deny", "allow_always", "cancel"]))
    def answer(self, pick: int, decision: Any) -> None:
        known = self.requests("open", "answered", "delivering", "applied", "void", "expired")
        request_id = known[pick % len(known)]
        was_open = request_id in self.requests("open")
        try:
            with self.conn.transaction():
                reply(self.conn, self.actor, HumanReply(request_id=request_id, decision=decision), stop_policy=STOP)
        except AlreadyAnswered:
            assert not was_open
        else:
            assert was_open

    @precondition(lambda self: self.requests("answered", "delivering", "expired"))
    @rule(pick=picks)
    def deliver(self, pick: int) -> None:
        known = self.requests("answered", "delivering", "expired")
        with self.conn.transaction():
            delivery = begin_delivery(self.conn, known[pick % len(known)])
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

    @precondition(lambda self: self.is_at_work and self.run.status == "running")
    @rule()
    def finish(self) -> None:
        assert self.executor is not None
        self.executor.finish()

    @rule(is_meant=st.sampled_from([False, False, False, True]))
    def stop(self, is_meant: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        if is_meant:
            with self.conn.transaction():
                stop_run(self.conn, self.actor, self.run_id, policy=STOP)

    @precondition(lambda self: self.run.status == "cancelling")
    @rule()
    def settle_the_stop(self) -> None:
        with self.conn.transaction():
            settle_stopped(self.conn, self.run_id, message="stopped")

    @invariant()
    def is_true(self) -> None:
        self.each_answer_has_one_effect()
        self.states_only_go_on()
        self.nothing_is_orphaned()
        self.the_log_says_who_decided()

    def each_answer_has_one_effect(self) -> None:
        for request_id, verdicts in self.told.verdicts.items():
            stored = self.conn.execute("SELECT answer ->> 'decision' FROM human_requests WHERE id = %s", (request_id,))
            assert verdicts == [row[0] for row in stored]

    def states_only_go_on(self) -> None:
        query = "SELECT id, status::text FROM human_requests WHERE run_id = %s"
        for request_id, status in self.conn.execute(query, (self.run_id,)).fetchall():
            before = self.seen.get(request_id, "open")
            assert status == before or status in reachable(before), f"{before} became {status}"
            self.seen[request_id] = status

    def nothing_is_orphaned(self) -> None:
        run, waiting = self.run, self.requests("open")
        query = "SELECT count(*) FROM human_requests WHERE run_id = %s AND settled_at IS NULL"
        unsettled = self.conn.execute(query, (self.run_id,)).fetchone()
        assert unsettled is not None
        if run.is_final:
            assert unsettled[0] == 0
        assert bool(waiting) == (run.status == "waiting") or run.status in ("parked", "cancelling")
        record_quiesced = run.status == "parked" and run.lease_expires_at is None
        assert not record_quiesced or waiting

    def the_log_says_who_decided(self) -> None:
        events = run_events(self.conn, self.run_id, after=0, limit=10_000)
        for request_id, status in self.seen.items():
            resolved = [e for e in events if e.type == "human_loop.resolved" and e.data["requestId"] == str(request_id)]
            applied = [e for e in events if e.type == "human_loop.applied" and e.data["requestId"] == str(request_id)]
            assert len(resolved) == (status != "open")
            assert len([e for e in applied if not e.late]) <= 1
            by = {e.data["by"] for e in resolved}
            assert (by == {"timeout"}) == (status == "expired")
            assert {e.author for e in resolved} <= (
                {"system"} if status in ("expired", "cancelled") else {self.actor.author}
            )


def reachable(status: str) -> set[str]:
    """Some steps may have been taken between two looks."""
    found: set[str] = set()
    ahead = [status]
    while ahead:
        following = NEXT.get(ahead.pop(), set()) - found
        found |= following
        ahead += following
    return found


def test_what_people_are_asked_has_one_effect_and_an_end(conn: Conn, actor: Actor, start: StartOne) -> None:
    class HumanLoopHere(HumanLoop):
        pass

    HumanLoopHere.conn, HumanLoopHere.actor, HumanLoopHere.start = conn, actor, staticmethod(start)
    run_state_machine_as_test(by_chance(HumanLoopHere), settings=chances(60, 2000, steps=40))
