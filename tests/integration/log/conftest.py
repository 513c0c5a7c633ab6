"""Two server processes over one database: events come in by one and are read from the other."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.functions.conftest import NO_SHARES, Serve, provided, serve
from tests.integration.log.world import World

__all__ = ["provided", "serve"]


@pytest.fixture
def world(serve: Serve, conn: psycopg.Connection) -> World:
    """Retries are due at once; there are enough threads for readers that left without a word."""
    more = {**NO_SHARES, "RUN_QUEUE_RETRY_DELAY_MS": "0", "API_THREADS": "400"}
    return World(conn=conn, writer=serve(**more), teller=serve(**more))
