"""The queue's pool replaces connections after their lifetime, and its listener goes on meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from procrastinate import PsycopgConnector

from jobs.app import app
from tests.integration.jobs.waiting import LOOK_SECONDS

CHANNEL = "a_channel_of_the_tests"
SECONDS = 30


async def backend_of(connector: PsycopgConnector) -> int:
    return int((await connector.execute_query_one_async("SELECT pg_backend_pid() AS pid"))["pid"])


async def hear(connector: PsycopgConnector, heard: set[str], word: str) -> None:
    """Notify until the listener has heard it: at first it may still be on its way to LISTEN."""
    while word not in heard:
        await connector.execute_query_async(f"NOTIFY {CHANNEL}, '{word}'")
        await asyncio.sleep(LOOK_SECONDS)


async def listening_over_replacements() -> set[int]:
    """Return the server's processes that served the pool between two notifications that the listener heard."""
    heard = set[str]()

    async def note(*, channel: str, payload: str) -> None:  # noqa: ARG001  procrastinate passes it
        heard.add(payload)

    async with app.open_async(), asyncio.timeout(SECONDS):
        connector = app.connector
        assert isinstance(connector, PsycopgConnector)
        listening = asyncio.create_task(connector.listen_notify(note, [CHANNEL]))
        await hear(connector, heard, "before")
        backends = set[int]()
        while len(backends) < 3:
            backends.add(await backend_of(connector))
        await hear(connector, heard, "after")
        listening.cancel()
    return backends


def test_connections_are_replaced_after_their_lifetime_and_listening_goes_on(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the queue meets a new server of a cluster, although no connection was lost."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr("jobs.app.LIFETIME_SECONDS", 0.01)
    assert len(asyncio.run(listening_over_replacements())) == 3
