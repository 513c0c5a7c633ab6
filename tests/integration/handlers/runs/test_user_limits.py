"""Claims under a limit for each user: one after the other for one user, and side by side for several."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest

from handlers.access.permissions import Actor
from handlers.runs.claim import Claimed, claim_run
from handlers.runs.limits import RunLimits
from schema.sql import Conn
from tests.integration.functions.conftest import wait_until
from tests.integration.handlers.runs.test_limits import held_by, people, start_for, take

__all__ = ["people"]
pytestmark = pytest.mark.both_postgres


@dataclass(frozen=True)
class AtTheSameTime:
    """A claim on a connection of its own, under a limit for each user alone."""

    conn: Conn
    pool: ThreadPoolExecutor

    def take(self, run_id: UUID) -> Future[Claimed | None]:
        return self.pool.submit(take, self.conn, run_id, RunLimits(per_user=1))

    def waits_for_a_lock(self, seen_from: Conn) -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        return seen_from.execute(waiting).fetchone() == (1,)


@pytest.fixture
def beside(database: str) -> Iterator[AtTheSameTime]:
    with psycopg.connect(database, autocommit=True) as conn, ThreadPoolExecutor(1) as pool:
        yield AtTheSameTime(conn, pool)


def test_claims_of_one_user_decide_one_after_the_other(conn: Conn, people: list[Actor], beside: AtTheSameTime) -> None:
    first, second = [start_for(conn, people[0]) for _ in range(2)]
    with conn.transaction():
        assert claim_run(conn, first.id, owner="test", lock_seconds=60, limits=RunLimits(per_user=1)) is not None
        other = beside.take(second.id)
        wait_until(lambda: beside.waits_for_a_lock(conn), seconds=60)
    assert other.result(timeout=60) is None
    assert held_by(conn, second.id) == "user"


def test_claims_of_different_users_do_not_wait_for_each_other(
    conn: Conn, people: list[Actor], beside: AtTheSameTime
) -> None:
    first, second = [start_for(conn, person) for person in people[:2]]
    with conn.transaction():
        assert claim_run(conn, first.id, owner="test", lock_seconds=60, limits=RunLimits(per_user=1)) is not None
        assert beside.take(second.id).result(timeout=60) is not None
