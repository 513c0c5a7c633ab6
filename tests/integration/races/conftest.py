"""Contestants with connections of their own, and the session of a started run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from tests.integration.functions.conftest import provided, serve, served
from tests.integration.handlers.conftest import actor, start
from tests.integration.races.contest import Contest

__all__ = ["actor", "provided", "serve", "served", "start"]
CONTESTANTS = 4


@pytest.fixture
def contest(database: str) -> Iterator[Contest]:
    with ExitStack() as stack:
        conns = [stack.enter_context(psycopg.connect(database, autocommit=True)) for _ in range(CONTESTANTS)]
        yield Contest(conns, stack.enter_context(ThreadPoolExecutor(CONTESTANTS)))
