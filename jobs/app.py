"""The procrastinate app: operators use `procrastinate --app jobs.app.app ...`, `python -m jobs` does the work.

The import reads and opens nothing. The app reads the database's address when it connects.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import procrastinate
import psycopg
from psycopg_pool import AsyncConnectionPool

from jobs import tasks
from schema.database_poolers import ADDRESSES, named_database
from schema.sealed_environment import load_secret_files
from schema.settings import BadSetting

CONNECTIONS = 5
RECONNECT_SECONDS = 5.0
LIFETIME_SECONDS = 900.0


def database_url() -> str:
    """Return DATABASE_DIRECT_URL or else DATABASE_URL, or what their files hold. Raise BadSetting when none is set."""
    load_secret_files(ADDRESSES)
    dsn = named_database(os.environ)
    if not dsn:
        raise BadSetting("DATABASE_URL is not set. Set it to the database's address.")
    return dsn


async def _configure(conn: psycopg.AsyncConnection[Any]) -> None:
    """Commit procrastinate's own writes (job taken, job done, next periodic job) asynchronously.

    A crash of PostgreSQL at that moment runs a job once more, which every job tolerates. Other connections create jobs.
    """
    await conn.set_autocommit(True)
    await conn.execute("SET synchronous_commit = off")


def _pool(*, conninfo: Callable[[], str], **_defaults: object) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Return a pool without a check at each checkout, which would double the round trips.

    `configure` sets autocommit: in `kwargs` it would reach procrastinate's LISTEN connection twice and end it.
    """
    return AsyncConnectionPool(
        conninfo,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=10,
        reconnect_timeout=RECONNECT_SECONDS,
        max_lifetime=LIFETIME_SECONDS,
        configure=_configure,
        open=False,
        name="queue",
    )


app = procrastinate.App(connector=procrastinate.PsycopgConnector(pool_factory=_pool, conninfo=database_url))
tasks.register(app)
