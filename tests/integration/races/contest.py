"""Two or more at once, each on a connection of its own, let go together; and what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from schema.errors import RunyardError
from schema.sql import Conn

Act = Callable[[Conn], Any]


@dataclass
class Contest:
    """`conns` are as many as can take part."""

    conns: Sequence[psycopg.Connection]
    pool: ThreadPoolExecutor

    def run(self, *acts: Act) -> list[Any]:
        """Each act in a transaction of its own, all beginning together: what each returned, or the error it met.

        An error that callers are not meant to meet is raised.
        """
        gate = threading.Barrier(len(acts))
        futures = [self.pool.submit(_take_part, conn, act, gate) for conn, act in zip(self.conns, acts, strict=False)]
        return [future.result(30) for future in futures]


def _take_part(conn: psycopg.Connection, act: Act, gate: threading.Barrier) -> Any:
    gate.wait(30)
    try:
        with conn.transaction():
            return act(conn)
    except RunyardError as error:
        return error
