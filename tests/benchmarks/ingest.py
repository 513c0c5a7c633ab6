"""G1 and G2: events into the database, by SQL alone and over HTTP with and without hints."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal
from uuid import UUID

import psycopg

from cli.local.postgres import embedded_binaries
from handlers.callbacks.append_only import AppendOnlyCall, parameters
from handlers.event_log import EXECUTOR
from schema.executor_api import CallbackBody
from schema.sql import queries
from tests.benchmarks.figures import in_turns
from tests.benchmarks.ground import Source, fresh_database, make_sources, running_server, serving
from tests.benchmarks.load import call
from tests.benchmarks.report import Line, Wanted, rated
from tests.pgbouncer import pgbouncer, running_pgbouncer

CLIENTS, SECONDS, EVENTS = 16, 4, 10
LISTENERS = 4
RAW_TABLE = """
CREATE TABLE IF NOT EXISTS raw_events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session_id uuid NOT NULL, id uuid NOT NULL, run_id uuid,
    attempt integer, n bigint, author text NOT NULL, type text NOT NULL, at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(), late boolean NOT NULL DEFAULT false, data jsonb NOT NULL
)
"""
RAW_ROW = "(:session::uuid, :id::uuid, :session::uuid, 1, :n + {i}, 'executor', 'message.delta', :at, :data::jsonb)"
RAW_INSERT = (
    "INSERT INTO raw_events (session_id, id, run_id, attempt, n, author, type, at, data) VALUES "
    + ", ".join(RAW_ROW.format(i=i) for i in range(EVENTS))
    + ";\n\\set n :n + 10\n"
)
PLANS_ONCE = {"PGOPTIONS": "-c plan_cache_mode=force_generic_plan"}
Mode = Literal["prepared", "extended"]
RUN_ID = "(:prefix || lpad(:client_id::text, 12, '0'))"


def ingest() -> Iterator[Line]:
    with running_server() as server:
        with fresh_database(server) as dsn:
            yield _by_sql(dsn)
            yield from through_pooler(dsn)
        with fresh_database(server) as dsn:
            yield _hints(dsn)


def _by_sql(dsn: str) -> Line:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(RAW_TABLE)
    numbers = iter(range(1, 100))
    rounds = in_turns(lambda: _ours(dsn, next(numbers)), lambda: _raw(dsn), rounds=9)
    return rated("G1", "ingest by SQL", rounds, unit="events/s", wanted=Wanted(">=", 0.75))


def through_pooler(dsn: str) -> Iterator[Line]:
    """The same through PgBouncer in transaction mode, so without prepared statements; nothing where it is missing."""
    if pgbouncer() is None:
        return
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(RAW_TABLE)
    numbers = iter(range(1001, 1100))
    with running_pgbouncer(dsn, size=CLIENTS) as pooled:
        rounds = in_turns(lambda: _ours(dsn, next(numbers), pooled=pooled), lambda: _raw(pooled, mode="extended"))
        yield rated("G1", "ingest by SQL, both through PgBouncer", rounds, unit="events/s", wanted=None)
        rounds = in_turns(lambda: _ours(dsn, next(numbers), pooled=pooled), lambda: _ours(dsn, next(numbers)))
        yield rated("G1", "ours through PgBouncer, against direct", rounds, unit="events/s", wanted=None)


def _ours(dsn: str, number: int, *, pooled: str | None = None) -> float:
    prefix = f"{number:08d}-0000-4000-8000-"
    sources = make_sources(dsn, CLIENTS, run_id=lambda i: UUID(f"{prefix}{i:012d}"))
    statement = re.sub(r"^--.*\n", "", queries()["receive_append_only_call"].decode(), flags=re.MULTILINE)
    statement = statement.replace("%(run_id)s", RUN_ID).replace("%(before_n)s", ":n")
    statement = re.sub(r"%\((\w+)\)s", r":\1", statement)
    variables = {**_call(sources[0]), "prefix": prefix, "n": "0"}
    mode: Mode = "prepared" if pooled is None else "extended"
    per_second, calls = _pgbench(pooled or dsn, f"{statement};\n\\set n :n + {EVENTS}\n", variables, mode=mode)
    with psycopg.connect(dsn) as conn:
        stored = conn.execute(
            "SELECT count(*) FROM run_events WHERE n IS NOT NULL AND run_id::text LIKE %s", [f"{prefix}%"]
        )
        assert stored.fetchone() == (calls * EVENTS,), "calls were not taken"
    return per_second * EVENTS


def _raw(dsn: str, *, mode: Mode = "prepared") -> float:
    event = Source(UUID(int=1), UUID(int=1), "", 1).events(1)[0]
    variables = {
        "session": str(UUID(int=1)),
        "id": event["id"],
        "at": event["at"],
        "data": json.dumps(event["data"]),
        "n": "0",
    }
    return _pgbench(dsn, RAW_INSERT, variables, mode=mode)[0] * EVENTS


def _call(source: Source) -> dict[str, str]:
    """What is given to the statement, as it is given: of one call, without its run and number."""
    body = CallbackBody.model_validate({"epoch": 1, "attempt": 1, "events": source.events(EVENTS)})
    given = {**parameters(AppendOnlyCall(source.run_id, body, generation=1)), "author": EXECUTOR, "lease_seconds": "60"}
    return {name: str(value) for name, value in given.items() if name not in ("run_id", "before_n")}


def _pgbench(dsn: str, script: str, variables: dict[str, str], *, mode: Mode) -> tuple[float, int]:
    """Transactions a second, and how many there were."""
    given = [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        program = [str(embedded_binaries() / "pgbench"), "-n", "-M", mode, "-c", str(CLIENTS), "-j", "2"]
        done = subprocess.run(
            [*program, "-T", str(SECONDS), *given, "-f", file.name, dsn],
            capture_output=True,
            text=True,
            check=False,
            env=PLANS_ONCE if mode == "prepared" else {},
        )
    assert done.returncode == 0, done.stderr
    per_second = re.search(r"tps = ([\d.]+)", done.stdout)
    calls = re.search(r"actually processed: (\d+)", done.stdout)
    assert per_second is not None
    assert calls is not None, done.stdout
    return float(per_second[1]), int(calls[1])


def _hints(dsn: str) -> Line:
    with (
        _listening(dsn),
        serving("functions.wsgi:app", dsn) as hinting,
        serving("tests.benchmarks.variants:without_hints()", dsn) as silent,
    ):
        rounds = in_turns(
            lambda: callbacks_a_second(dsn, hinting.port) * EVENTS,
            lambda: callbacks_a_second(dsn, silent.port) * EVENTS,
            rounds=5,
        )
    return rated("G2", "ingest with hints, 4 listeners", rounds, unit="events/s", wanted=Wanted(">=", 0.90))


@contextmanager
def _listening(dsn: str) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(LISTENERS):
            stack.enter_context(psycopg.connect(dsn, autocommit=True)).execute("LISTEN runyard_log")
        yield


def callbacks_a_second(dsn: str, port: int) -> float:
    requests = [[source.request(port, EVENTS) for _ in range(400)] for source in make_sources(dsn, CLIENTS)]
    return call(port, [iter(each) for each in requests], seconds=SECONDS).per_second
