"""The presence of a job worker leaves a server that has become read-only."""

from __future__ import annotations

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import ReadOnlySqlTransaction

from handlers.runs.reconcile import ReconcileLimits
from jobs.periodic import Presence
from schema.sql import Conn

pytestmark = pytest.mark.both_postgres


def test_a_presence_on_a_read_only_server_connects_again_until_it_finds_a_writable_one(
    database: str, conn: Conn
) -> None:
    name = sql.Identifier(conn.info.dbname)
    alter = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    presence = Presence(
        make_conninfo(database, target_session_attrs="any"),  # the server was writable when it connected
        claimer="one",
        limits=ReconcileLimits(lease_seconds=60),
        reclaim=lambda _runs: None,
        expire_leases=lambda _leases: None,
    )
    conn.execute(alter.format(name, "on"))
    with pytest.raises(ReadOnlySqlTransaction):
        presence.run_once()
    conn.execute(alter.format(name, "off"))
    presence.run_once()
    presence.end()
