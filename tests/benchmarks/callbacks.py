"""G3 and G4: callbacks of ten events over HTTP, at 16 connections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from tests.benchmarks.figures import in_turns
from tests.benchmarks.ground import Gunicorn, fresh_database, make_sources, running_server, serving, serving_plainly
from tests.benchmarks.load import Served, call, http_request
from tests.benchmarks.report import Line, Wanted, rated
from tests.pgbouncer import pgbouncer, running_pgbouncer

CONNECTIONS, SECONDS, EVENTS = 16, 4.0, 10
MOST_REQUESTS = 600
ALONE = "tests.benchmarks.variants:one_transaction_a_request()"
SINGLE = "tests.benchmarks.variants:one_call_a_statement()"


def callbacks() -> Iterator[Line]:
    with running_server() as server, fresh_database(server) as dsn, serving("functions.wsgi:app", dsn) as ours:
        with serving_plainly("tests.benchmarks.baselines.empty_app:app") as empty:
            rounds = in_turns(lambda: _served(dsn, ours).per_second * EVENTS, lambda: _empty(empty), rounds=5)
        yield rated("G3", "events/s by callbacks of 10", rounds, unit="a second", wanted=Wanted(">=", 3.0))
        with serving(ALONE, dsn) as alone:
            rounds = in_turns(lambda: _served(dsn, ours).p99, lambda: _served(dsn, alone).p99, rounds=5)
        yield rated("G4", "callback p99, 16 connections", rounds, unit="ms", wanted=Wanted("<=", 0.25))
        with serving(SINGLE, dsn) as single:
            rounds = in_turns(lambda: _served(dsn, ours).p99, lambda: _served(dsn, single).p99)
        yield rated("G4", "the same, against our statement ungrouped", rounds, unit="ms", wanted=None)
        rounds = in_turns(lambda: _served(dsn, ours, connections=1).p50, lambda: _served(dsn, ours).p50)
        yield rated("G4", "p50 of one that is alone, against 16", rounds, unit="ms", wanted=None)
        yield from through_pooler(dsn, ours)


def through_pooler(dsn: str, direct: Gunicorn) -> Iterator[Line]:
    """The same callbacks through PgBouncer in transaction mode; nothing where it is not installed."""
    if pgbouncer() is None:
        return
    settings = {"DATABASE_POOLER": "transaction", "DATABASE_DIRECT_URL": dsn}
    with (
        running_pgbouncer(dsn, size=CONNECTIONS) as pooled,
        serving("functions.wsgi:app", pooled, settings=settings) as behind,
    ):
        rounds = in_turns(lambda: _served(dsn, behind).per_second, lambda: _served(dsn, direct).per_second)
    yield rated("G3", "callbacks of 10 through PgBouncer, against direct", rounds, unit="a second", wanted=None)


def _served(dsn: str, server: Gunicorn, *, connections: int = CONNECTIONS) -> Served:
    sources = make_sources(dsn, connections)
    requests = [[source.request(server.port, EVENTS) for _ in range(MOST_REQUESTS)] for source in sources]
    return call(server.port, [iter(each) for each in requests], seconds=SECONDS)


def _empty(server: Gunicorn) -> float:
    request = http_request(server.port, "POST", "/", b"x" * 2000)
    return call(server.port, [repeat(request)] * CONNECTIONS, seconds=SECONDS).per_second
