"""A user's queued runs, runs of a minute and idempotency keys of a day are a share; other users have their own."""

from __future__ import annotations

from hashlib import sha256
from uuid import uuid4

import pytest

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import add_user
from handlers.runs.bind import Bind, bind_run
from handlers.runs.start import Idempotency, Start, start_run
from schema.options import RunOptions
from schema.rows import RunRow
from schema.shares import RunShares, ShareUsedUp, run_shares
from schema.sql import Conn
from tests.integration.handlers.conftest import STOP, TRACEPARENT


@pytest.fixture
def ann(conn: Conn, actor: Actor) -> Actor:  # noqa: ARG001  for what it does
    return actor_of(add_user(conn, "ann", "member"))


@pytest.fixture
def ben(conn: Conn, actor: Actor) -> Actor:  # noqa: ARG001  for what it does
    return actor_of(add_user(conn, "ben", "member"))


def start(conn: Conn, actor: Actor, shares: RunShares, *, key: str | None = None) -> RunRow:
    wanted = Start(prompt="go", options=RunOptions(), max_attempts=3, traceparent=TRACEPARENT)
    idempotency = None if key is None else Idempotency(key=key, body_digest=sha256(b"go").digest())
    with conn.transaction():
        return start_run(conn, actor, wanted, stop_policy=STOP, shares=shares, idempotency=idempotency).run


def bind(conn: Conn, actor: Actor, shares: RunShares) -> None:
    wanted = Bind(run_id=uuid4(), session_id=None, provider="x", prompt="go", title=None, traceparent=TRACEPARENT)
    with conn.transaction():
        bind_run(conn, actor, wanted, secret=bytes(32), lease_seconds=60, shares=shares)


def test_runs_are_queued_up_to_the_share_and_not_one_beyond(conn: Conn, ann: Actor, ben: Actor) -> None:
    shares = run_shares(queued_runs=2)
    first, _ = start(conn, ann, shares), start(conn, ann, shares)
    with pytest.raises(ShareUsedUp) as refused:
        start(conn, ann, shares)
    assert refused.value.members == {"share": "queued-runs", "limit": 2}
    start(conn, ben, shares)
    conn.execute("UPDATE runs SET status = 'cancelled', finished_at = now() WHERE id = %s", (first.id,))
    start(conn, ann, shares)
    bind(conn, ann, shares)  # it is never queued


def test_prompts_of_a_minute_are_a_share_and_the_refusal_tells_when_it_is_free(
    conn: Conn, ann: Actor, ben: Actor
) -> None:
    shares = run_shares(prompts=3)
    first = start(conn, ann, shares)
    conn.execute("UPDATE runs SET created_at = now() - interval '20 s' WHERE id = %s", (first.id,))
    start(conn, ann, shares)
    bind(conn, ann, shares)
    for more in (start, bind):
        with pytest.raises(ShareUsedUp) as refused:
            more(conn, ann, shares)
        assert (refused.value.used_up.name, 30 <= refused.value.retry_seconds <= 40) == ("prompts", True)
    start(conn, ben, shares)
    conn.execute("UPDATE runs SET created_at = now() - interval '61 s' WHERE id = %s", (first.id,))
    start(conn, ann, shares)


def test_idempotency_keys_of_a_day_are_a_share_and_known_keys_still_answer(conn: Conn, ann: Actor, ben: Actor) -> None:
    shares = run_shares(idempotency_keys=2)
    first = start(conn, ann, shares, key="a")
    start(conn, ann, shares, key="b")
    with pytest.raises(ShareUsedUp) as refused:
        start(conn, ann, shares, key="c")
    assert refused.value.used_up.name == "idempotency-keys"
    assert start(conn, ann, shares, key="a").id == first.id
    start(conn, ann, shares)
    start(conn, ben, shares, key="c")
    conn.execute("UPDATE idempotency_keys SET created_at = now() - interval '1 day 1 s' WHERE key = 'a'")
    start(conn, ann, shares, key="c")


def test_a_refused_start_stores_nothing(conn: Conn, ann: Actor) -> None:
    shares = run_shares(prompts=1)
    start(conn, ann, shares)
    with pytest.raises(ShareUsedUp):
        start(conn, ann, shares, key="a")
    runs = conn.execute("SELECT count(*) FROM runs").fetchone()
    keys = conn.execute("SELECT count(*) FROM idempotency_keys").fetchone()
    assert (runs, keys) == ((1,), (0,))


def test_a_share_of_zero_is_no_limit(conn: Conn, ann: Actor) -> None:
    for number in range(5):
        start(conn, ann, run_shares(), key=str(number))
        start(conn, ann, run_shares(queued_runs=100))
