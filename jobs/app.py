"""The procrastinate app: `procrastinate --app jobs.app.app ...` for operators, `python -m jobs` for work.

Nothing is read or opened by importing it; DATABASE_URL is looked at when it connects.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import procrastinate
import psycopg
from psycopg_pool import AsyncConnectionPool

from jobs import tasks
from schema.settings import BadSetting

CONNECTIONS = 5
RECONNECT_SECONDS = 5.0


def database_url() -> str:
    """Raises BadSettings."""
    dsn = os.environ.get("DATABASE_URL")
    if not dsn:
        raise BadSetting("DATABASE_URL is not set.")
    return dsn


async def _configure(conn: psycopg.AsyncConnection[Any]) -> None:
    """What procrastinate writes here (taken, done, the next duty) is not waited for on the disk: should PostgreSQL fall
    within that moment, a job is done once more, which every job bears. Jobs are born on other connections."""
    await conn.set_autocommit(True)
    await conn.execute("SET synchronous_commit = off")


def _pool(*, conninfo: Callable[[], str], **_defaults: object) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Without a check at each checkout, which would double the round trips. Autocommit is set by `configure`: in
    `kwargs` it would reach procrastinate's own LISTEN connection a second time and end it."""
    return AsyncConnectionPool(
        conninfo,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=10,
        reconnect_timeout=RECONNECT_SECONDS,
        configure=_configure,
        open=False,
        name="queue",
    )


app = procrastinate.App(connector=procrastinate.PsycopgConnector(pool_factory=_pool, conninfo=database_url))
tasks.register(app)
