"""Beyond what a process carries requests are refused; callbacks and health checks are taken; then all is as before."""

from __future__ import annotations

import select
from contextlib import ExitStack

import httpx
import psycopg

from tests.integration.functions.conftest import NO_SHARES, Serve, wait_until
from tests.integration.functions.runtime.peers import RawPeer, head

THREADS, WAITING, BEYOND = 8, 4, 3


def waiting_for_locks(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return 0 if row is None else int(row[0])


def test_more_than_may_wait_is_refused_and_callbacks_go_on(serve: Serve, database: str) -> None:
    served = serve(**NO_SHARES, API_THREADS=str(THREADS), API_WAITING_MAX=str(WAITING))
    driver = served.bind()
    asked = head("GET", "/api/sessions", f"Authorization: Bearer {served.token}")
    with psycopg.connect(database) as locking, ExitStack() as stack:
        locking.execute("LOCK sessions IN ACCESS EXCLUSIVE MODE")
        at_work = [stack.enter_context(RawPeer(served.port, asked)) for _ in range(THREADS)]
        wait_until(lambda: waiting_for_locks(locking) == THREADS, seconds=60)
        waiting = [stack.enter_context(RawPeer(served.port, asked)) for _ in range(WAITING + BEYOND)]
        refused: list[RawPeer] = []
        while len(refused) < BEYOND:
            socks = {peer.sock: peer for peer in waiting if peer not in refused}
            readable, _, _ = select.select(list(socks), [], [], 60)
            assert readable, "too few were refused"
            refused += [socks[sock] for sock in readable]
        for peer in refused:
            answer = peer.answer()
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "server_full", "2")
        for number in range(5):
            assert driver.report(driver.delta(str(number)))[0] == 200
            assert driver.report()[0] == 200, "a heartbeat"
            assert httpx.get(f"{served.url}/health", timeout=30, trust_env=False).status_code == 200
        locking.rollback()
        kept = [peer for peer in waiting if peer not in refused]
        assert [peer.answer().status for peer in [*at_work, *kept]] == [200] * (THREADS + WAITING)
    with served.client() as client:
        assert client.get("/api/sessions").status_code == 200
        assert len(client.get(f"/api/runs/{driver.run_id}/events?limit=100").json()["items"]) == 2 + 5
