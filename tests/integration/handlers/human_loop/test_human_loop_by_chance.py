"""Requests, answers of two people, time-outs, cancels, crashes, duplicates, and workers that are started again, stopped
and removed, in any order: each request is decided once, no answer is lost, and none has two effects."""

from __future__ import annotations

from hypothesis.stateful import invariant, run_state_machine_as_test

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import add_user
from handlers.event_log import run_events
from schema.sql import Conn
from tests.integration.handlers.conftest import StartOne
from tests.integration.handlers.human_loop.agent_model import ExecutorModel
from tests.integration.handlers.human_loop.human_loop_steps import HumanLoopSteps
from tests.thoroughness import by_chance, chances

NEXT = {
    "open": {"answered", "expired", "cancelled"},
    "answered": {"delivering", "applied", "void"},
    "delivering": {"answered", "applied", "void"},
}
"""What may follow; what is not here is final. `delivering` goes back when the agent certainly was not told."""


class HumanLoop(HumanLoopSteps):
    def teardown(self) -> None:
        """Whatever has happened, people's answers bring the run to its end, and the agent hears the last of them."""
        if not hasattr(self, "run_id"):
            return
        for _ in range(10):
            self.take_a_step_to_the_end()
        assert self.run.is_final, self.run.status
        self.is_true()

    def take_a_step_to_the_end(self) -> None:
        for request_id in self.requests("open"):
            assert self.replies(request_id, "allow", self.people[0])
        if self.executor is not None and self.executor.spool:
            self.report(is_repeated=False)
        run, executor = self.run, self.executor
        if run.status == "queued":
            self.claim()
        elif run.status == "cancelling":
            self.settle_the_stop()
        elif run.status == "parked":
            self.come_to_rest_without_a_word()
        elif run.status in ("running", "starting", "waiting") and executor is not None and executor.is_alive:
            self.hear_all(executor)
        elif run.status in ("running", "waiting"):
            self.lose_the_place()

    def hear_all(self, executor: ExecutorModel) -> None:
        """The agent asks again for what it asked before, hears each answer, and ends its turn."""
        on_their_way = self.requests("answered", "delivering")
        for carried in list(executor.carried):
            executor.ask(carried.fingerprint or "")
        for request_id in on_their_way:
            if request_id in executor.asking:
                self.deliver_one(request_id)
        while executor.untold:
            executor.tell()
        executor.finish()
        self.report(is_repeated=False)
        assert set(on_their_way) <= self.told.verdicts.keys() | set(self.requests("void")), "an answer was not heard"

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
            decided_by = self.decided_by.get(request_id, "system")
            assert {e.author for e in resolved} <= ({"system"} if status in ("expired", "cancelled") else {decided_by})


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

    ann = actor_of(add_user(conn, "ann", "admin"))
    HumanLoopHere.conn, HumanLoopHere.people, HumanLoopHere.start = conn, (actor, ann), staticmethod(start)
    run_state_machine_as_test(by_chance(HumanLoopHere), settings=chances(40, 2000, steps=40))
