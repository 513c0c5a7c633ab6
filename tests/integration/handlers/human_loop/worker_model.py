"""The session worker of a run in small: it is started and started again, stopped, removed, and loses its volume."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.workers.activate import begin_activation, worker_active
from handlers.workers.retirement import begin_forced_removal, end_forced_removal
from handlers.workers.rows import worker_changed, worker_of
from schema.errors import Conflict
from schema.sql import Conn
from tests.integration.handlers.conftest import NO_DELAY


@dataclass
class WorkerModel:
    conn: Conn
    session_id: UUID
    has_volume: bool = False
    starts: int = 0

    def activate(self) -> int:
        """Start the worker, each time with another secret key. Return its epoch: a new one when its volume was gone."""
        with self.conn.transaction():
            begun = begin_activation(
                self.conn,
                self.session_id,
                host="process",
                has_volume=lambda _: self.has_volume,
                retry=NO_DELAY,
                why="tests",
            )
        self.has_volume = True
        self.starts += 1
        with self.conn.transaction():
            key_id = f"key-{self.starts}"
            assert worker_active(self.conn, self.session_id, epoch=begun.epoch, base_url="http://worker", key_id=key_id)
        return begun.epoch

    def stop(self) -> None:
        """End the executor and keep its volume."""
        worker = worker_of(self.conn, self.session_id)
        assert worker is not None
        with self.conn.transaction():
            assert worker_changed(self.conn, self.session_id, epoch=worker.epoch, status="stopped")

    def remove(self) -> bool:
        """Remove the worker with its volume. Return False when a run needs it."""
        worker = worker_of(self.conn, self.session_id)
        assert worker is not None
        try:
            with self.conn.transaction():
                lost = begin_forced_removal(self.conn, self.session_id, actor="tests", reason="tests")
        except Conflict:
            return False
        with self.conn.transaction():
            end_forced_removal(self.conn, self.session_id, lost, epoch=worker.epoch)
        self.has_volume = False
        return True
