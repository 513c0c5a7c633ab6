"""Several who want a session's one live place, or the same run: each gets an answer, and nothing is there twice."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest

from handlers.access.permissions import Actor
from handlers.runs.bind import Bind, Bound, bind_run
from handlers.runs.start import Idempotency, Start, StartedRun, start_run
from handlers.sessions.edit import delete_session, open_session
from schema.errors import Conflict, IdempotencyKeyReused, NotFound, SessionBusy
from schema.options import RunOptions
from schema.sql import Conn
from tests.integration.handlers.conftest import STOP, TRACEPARENT, jobs
from tests.integration.log.laws import broken_laws
from tests.integration.races.contest import Act, Contest
from tests.thoroughness import times

ROUNDS = times(25, 1000)
pytestmark = [pytest.mark.both_postgres, pytest.mark.timeout(times(180, 3600))]


def starting(
    actor: Actor,
    session_id: UUID | None,
    *,
    multitask: str = "enqueue",
    idempotency: Idempotency | None = None,
) -> Act:
    wanted = Start(
        prompt="go",
        session_id=session_id,
        options=RunOptions(),
        multitask=multitask,  # type: ignore[arg-type]
        max_attempts=3,
        traceparent=TRACEPARENT,
    )
    return lambda conn: start_run(conn, actor, wanted, stop_policy=STOP, idempotency=idempotency)


def binding(actor: Actor, session_id: UUID | None, *, run_id: UUID | None = None) -> Act:
    wanted = Bind(
        run_id=run_id or uuid4(),
        session_id=session_id,
        provider="elsewhere",
        prompt="drive",
        title=None,
        traceparent=TRACEPARENT,
    )
    return lambda conn: bind_run(conn, actor, wanted, secret=bytes(32), lease_seconds=60)


def new_session(conn: Conn, actor: Actor) -> UUID:
    with conn.transaction():
        return open_session(conn, actor, title="contested").id


def count(conn: Conn, statement: str, *values: object) -> int:
    found = conn.execute(statement, values).fetchone()
    assert found is not None
    return int(found[0])


def test_starts_in_one_session_queue_up(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        session_id = new_session(conn, actor)
        answers = contest.run(*[starting(actor, session_id)] * 4)
        assert sorted(answer.queue_position for answer in answers) == [0, 1, 2, 3]
        assert sum(jobs(conn, "execute_run", answer.run.id) for answer in answers) == 1
        assert broken_laws(conn, session_id) == []


def test_of_starts_that_take_no_queue_one_wins(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        session_id = new_session(conn, actor)
        answers = contest.run(*[starting(actor, session_id, multitask="reject")] * 3)
        assert Counter(type(answer) for answer in answers) == {StartedRun: 1, SessionBusy: 2}
        assert broken_laws(conn, session_id) == []


def test_interrupts_of_one_session(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        session_id = new_session(conn, actor)
        [live] = contest.run(binding(actor, session_id))
        answers = contest.run(*[starting(actor, session_id, multitask="interrupt")] * 3)
        assert sorted(answer.queue_position for answer in answers) == [1, 1, 1]
        cancelling = "SELECT count(*) FROM run_events WHERE run_id = %s AND type = 'run.cancelling'"
        assert count(conn, cancelling, live.run.id) == 1
        assert broken_laws(conn, session_id) == []


def test_bind_against_start(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        session_id = new_session(conn, actor)
        bound, begun = contest.run(binding(actor, session_id), starting(actor, session_id))
        is_bound = isinstance(bound, Bound)
        assert is_bound or isinstance(bound, SessionBusy)
        assert (begun.queue_position, jobs(conn, "execute_run", begun.run.id)) == ((1, 0) if is_bound else (0, 1))
        assert broken_laws(conn, session_id) == []


def test_two_binds_of_one_session(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        session_id = new_session(conn, actor)
        answers = contest.run(*[binding(actor, session_id) for _ in range(3)])
        assert Counter(type(answer) for answer in answers) == {Bound: 1, SessionBusy: 2}
        assert broken_laws(conn, session_id) == []


def test_two_binds_of_one_run(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        bind = binding(actor, None, run_id=uuid4())
        answers = contest.run(bind, bind, bind)
        assert Counter(type(answer) for answer in answers) == {Bound: 1, Conflict: 2}
        [bound] = [answer for answer in answers if isinstance(answer, Bound)]
        assert broken_laws(conn, bound.run.session_id) == []
    assert count(conn, "SELECT count(*) FROM sessions") == ROUNDS


def test_the_same_idempotency_key_starts_one_run(conn: Conn, actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        same = Idempotency(key=str(uuid4()), body_digest=bytes(32))
        answers = contest.run(*[starting(actor, None, idempotency=same)] * 4)
        [run_id] = {answer.run.id for answer in answers}
        assert jobs(conn, "execute_run", run_id) == 1
        assert {answer.seq for answer in answers} == {0}
        assert broken_laws(conn, answers[0].run.session_id) == []
    assert count(conn, "SELECT count(*) FROM runs") == ROUNDS


def test_one_idempotency_key_with_two_bodies_starts_one_run(actor: Actor, contest: Contest) -> None:
    for _ in range(ROUNDS):
        key = str(uuid4())
        keys = [Idempotency(key=key, body_digest=bytes([n]) * 32) for n in range(2)]
        answers = contest.run(*[starting(actor, None, idempotency=one) for one in keys])
        assert Counter(type(answer) for answer in answers) == {StartedRun: 1, IdempotencyKeyReused: 1}


def test_a_session_is_put_away_or_used(conn: Conn, actor: Actor, contest: Contest) -> None:
    for round_ in range(ROUNDS):
        session_id = new_session(conn, actor)
        put_away = lambda c, session_id=session_id: delete_session(c, actor, session_id)  # noqa: E731
        use = starting(actor, session_id) if round_ % 2 else binding(actor, session_id)
        gone, used = contest.run(put_away, use)
        assert isinstance(gone, SessionBusy) != isinstance(used, NotFound)
        assert broken_laws(conn, session_id) == []
