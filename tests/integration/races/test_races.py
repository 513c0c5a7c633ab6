"""Two at once about one run: one of them decides, the other finds it decided, and the session's laws hold."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.callbacks.receive import receive_callback
from handlers.human_loop.reply import HumanReply, reply
from handlers.runs.claim import Claimed, claim_run, record_dispatched, requeue
from handlers.runs.reconcile import ExecutorFacts, ReconcileLimits, carry_out, decide, overdue_runs
from handlers.runs.stop import settle_stopped, stop_run
from schema.errors import AlreadyAnswered
from schema.events import SourceEvent
from schema.executor_api import CallbackBody
from schema.rows import RunRow
from schema.sql import Conn
from tests.integration.handlers.conftest import (
    NO_DELAY,
    POLICY,
    STOP,
    StartOne,
    call_back,
    claim,
    event,
    finished,
    jobs,
    log_of,
    run_now,
    started,
)
from tests.integration.log.laws import broken_laws
from tests.integration.races.contest import Act, Contest
from tests.thoroughness import times

ROUNDS = times(25, 1000)
LIMITS = ReconcileLimits(lease_seconds=60)
pytestmark = [pytest.mark.both_postgres, pytest.mark.timeout(times(180, 3600))]


def running(conn: Conn, start: StartOne) -> RunRow:
    """A run whose agent works; another run of its session waits."""
    taken = claimed(conn, start)
    call_back(conn, taken.run, started())
    start(session_id=taken.run.session_id)
    return run_now(conn, taken.run.id)


def claimed(conn: Conn, start: StartOne) -> Claimed:
    run = start().run
    conn.execute("DELETE FROM procrastinate_jobs WHERE args ->> 'run_id' = %s", (str(run.id),))
    taken = claim(conn, run.id)
    assert taken is not None
    return taken


def reporting(run: RunRow, *events: SourceEvent) -> Act:
    body = CallbackBody(epoch=run.epoch or 0, attempt=run.attempt, events=list(events))
    return lambda conn: receive_callback(conn, run.id, body, policy=POLICY)


def stopping(actor: Actor, run: RunRow) -> Act:
    return lambda conn: stop_run(conn, actor, run.id, policy=STOP)


def ends(conn: Conn, run_id: UUID) -> list[str]:
    """The states in which the log ends the run in time: one."""
    return [entry.data["status"] for entry in log_of(conn, run_id) if entry.type == "run.finished" and not entry.late]


def assert_ended_once(conn: Conn, run: RunRow) -> str:
    """The run's final state, which is its one end, settled once; its session is well and the next run on its way."""
    now = run_now(conn, run.id)
    assert now.is_final
    assert ends(conn, run.id) == [now.status]
    assert broken_laws(conn, run.session_id) == []
    return now.status


def test_of_a_finish_and_a_stop_at_once_one_decides(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        run = running(conn, start)
        contest.run(reporting(run, finished(2)), stopping(actor, run))
        seen[assert_ended_once(conn, run)] += 1
    assert set(seen) <= {"succeeded", "cancelled"}


def test_of_a_finish_and_the_deadline_of_a_stop_one_decides(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    for _ in range(ROUNDS):
        run = running(conn, start)
        contest.run(stopping(actor, run))
        give_up = lambda c, run=run: settle_stopped(c, run.id, message="It did not stop in time.")  # noqa: E731
        contest.run(reporting(run, finished(2)), give_up, give_up)
        assert assert_ended_once(conn, run) == "cancelled"


def test_of_two_ends_at_once_one_decides(conn: Conn, start: StartOne, contest: Contest) -> None:
    for _ in range(ROUNDS):
        run = running(conn, start)
        same = finished(2)
        answers = contest.run(reporting(run, same), reporting(run, same), reporting(run, finished(2, "failed")))
        codes = sorted(getattr(answer, "problem_code", f"{getattr(answer, 'accepted', '')}") for answer in answers)
        assert codes in (["0", "1", "n_conflict"], ["1", "n_conflict", "n_conflict"])
        assert_ended_once(conn, run)


def test_of_two_claims_of_one_run_one_wins(conn: Conn, start: StartOne, contest: Contest) -> None:
    for _ in range(ROUNDS):
        run = start().run
        take = lambda c, run=run: claim_run(c, run.id, owner="test", lock_seconds=60)  # noqa: E731
        taken = [one for one in contest.run(take, take, take, take) if one is not None]
        assert [(one.run.claim, one.run.attempt) for one in taken] == [(1, 1)]
        assert broken_laws(conn, run.session_id) == []


def test_a_stop_during_claim_and_dispatch_is_not_lost(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    for _ in range(ROUNDS):
        run = start().run
        outcomes: list[str] = []

        def work(c: Conn, run: RunRow = run, outcomes: list[str] = outcomes) -> None:
            taken = claim_run(c, run.id, owner="test", lock_seconds=60)
            outcomes.append("nothing" if taken is None else "taken")

        contest.run(work, stopping(actor, run))
        now = run_now(conn, run.id)
        assert (outcomes, now.status) in ((["nothing"], "cancelled"), (["taken"], "cancelling"))
        if now.status == "cancelling":
            settle_stopped(conn, run.id, message="Nobody had it.")
        assert assert_ended_once(conn, run) == "cancelled"


def test_a_stop_during_the_record_of_a_dispatch_is_not_lost(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    for _ in range(ROUNDS):
        run = claimed(conn, start).run
        dispatched = lambda c, run=run: record_dispatched(c, run, lease_seconds=60)  # noqa: E731
        recorded, _ = contest.run(dispatched, stopping(actor, run))
        assert recorded in ("dispatched", "superseded")
        assert (run_now(conn, run.id).status, jobs(conn, "stop_run", run.id)) == ("cancelling", 1)
        assert contest.run(dispatched) == ["superseded"]
        settle_stopped(conn, run.id, message="The executor never saw it.")
        assert assert_ended_once(conn, run) == "cancelled"


def test_a_claim_given_back_during_a_stop_and_a_late_beginning_ends_the_run_once(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    for _ in range(ROUNDS):
        run = claimed(conn, start).run
        back = lambda c, run=run: requeue(c, run, NO_DELAY, code="executor_unreachable", message="No answer.")  # noqa: E731
        contest.run(back, reporting(run, started()), stopping(actor, run))
        if not run_now(conn, run.id).is_final:
            settle_stopped(conn, run.id, message="The executor is gone.")
        assert assert_ended_once(conn, run) == "cancelled"


def asking(conn: Conn, start: StartOne) -> tuple[RunRow, UUID]:
    """A run that waits for a person, and its request."""
    run, request_id = running(conn, start), uuid4()
    options = [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]
    asked = {
        "requestId": str(request_id),
        "kind": "permission",
        "title": "May I?",
        "fingerprint": "f",
        "options": options,
    }
    call_back(conn, run, event(2, "human_loop.requested", asked))
    return run_now(conn, run.id), request_id


def replying(actor: Actor, request_id: UUID) -> Act:
    given = HumanReply(request_id=request_id, decision="allow", option_id="yes")
    return lambda conn: reply(conn, actor, given, stop_policy=STOP)


def resolved(conn: Conn, run_id: UUID) -> list[str]:
    return [str(entry.data["decision"]) for entry in log_of(conn, run_id) if entry.type == "human_loop.resolved"]


def deliveries(conn: Conn, request_id: UUID) -> int:
    found = conn.execute(
        "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'deliver_answer' AND args ->> 'request_id' = %s",
        (str(request_id),),
    ).fetchone()
    return int(found[0]) if found else 0


def test_of_two_replies_at_once_one_counts(conn: Conn, start: StartOne, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        run, request_id = asking(conn, start)
        answers = contest.run(*[replying(actor, request_id)] * 3)
        assert sum(isinstance(answer, AlreadyAnswered) for answer in answers) == 2
        assert (resolved(conn, run.id), deliveries(conn, request_id)) == (["allow"], 1)
        assert run_now(conn, run.id).status == "running"
        assert broken_laws(conn, run.session_id) == []


def test_a_reply_during_the_end_of_the_run_counts_or_is_refused(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    for _ in range(ROUNDS):
        run, request_id = asking(conn, start)
        replied, _ = contest.run(replying(actor, request_id), reporting(run, finished(3)))
        was_refused = isinstance(replied, AlreadyAnswered)
        assert resolved(conn, run.id) == ["cancel" if was_refused else "allow"]
        assert deliveries(conn, request_id) == (0 if was_refused else 1)
        assert assert_ended_once(conn, run) == "succeeded"


def test_a_reply_during_a_stop_or_withdrawal_counts_or_is_refused(
    conn: Conn, start: StartOne, actor: Actor, contest: Contest
) -> None:
    for _ in range(ROUNDS):
        run, request_id = asking(conn, start)
        gone = {"requestId": str(request_id), "outcome": "void", "told": "The agent went on."}
        contest.run(
            replying(actor, request_id), stopping(actor, run), reporting(run, event(3, "human_loop.applied", gone))
        )
        assert len(resolved(conn, run.id)) <= 1
        assert run_now(conn, run.id).status == "cancelling"
        settle_stopped(conn, run.id, message="It stopped.")
        assert assert_ended_once(conn, run) == "cancelled"


def overdue(conn: Conn, run: RunRow) -> RunRow:
    conn.execute("UPDATE session_logs SET lease_expires_at = now() - interval '1 s' WHERE run_id = %s", (run.id,))
    return run_now(conn, run.id)


def reconciling(seen: RunRow) -> Act:
    """What a reconciler does that saw the run as it was and reaches no executor."""
    decision = decide(seen, ExecutorFacts(reachable=False), well_for_seconds=1e9, limits=LIMITS)
    return lambda conn: carry_out(conn, seen, decision, limits=LIMITS, policy=NO_DELAY)


def test_two_reconcilers_move_an_overdue_run_once(conn: Conn, start: StartOne, contest: Contest) -> None:
    for _ in range(ROUNDS):
        seen = overdue(conn, running(conn, start))
        assert seen.id in [run.id for run in overdue_runs(conn, LIMITS)]
        assert sorted(contest.run(reconciling(seen), reconciling(seen), reconciling(seen))) == [False, False, True]
        assert [entry.type for entry in log_of(conn, seen.id)].count("run.retrying") == 1
        assert (run_now(conn, seen.id).status, jobs(conn, "execute_run", seen.id)) == ("queued", 1)
        assert broken_laws(conn, seen.session_id) == []
        conn.execute("UPDATE runs SET next_attempt_at = 'infinity' WHERE id = %s", (seen.id,))


def test_a_reconciler_respects_a_heartbeat_and_an_end_at_the_same_time(
    conn: Conn, start: StartOne, contest: Contest
) -> None:
    for round_ in range(ROUNDS):
        seen = overdue(conn, running(conn, start))
        report = reporting(seen, finished(2)) if round_ % 2 else reporting(seen)
        did, answer = contest.run(reconciling(seen), report)
        now = run_now(conn, seen.id)
        assert getattr(answer, "problem_code", "") == ("stale_attempt" if did else "")
        assert now.status == ("queued" if did else "succeeded" if round_ % 2 else "running")
        assert broken_laws(conn, seen.session_id) == []
        conn.execute("UPDATE runs SET next_attempt_at = 'infinity' WHERE id = %s", (seen.id,))
