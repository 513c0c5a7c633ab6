"""The external host: one executor that somebody else runs, at EXECUTOR_BASE_URL."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.worker import worker_active, worker_starting
from jobs.database import Database
from jobs.executor_client import Endpoint, ExecutorClient, ExecutorError
from jobs.hosts import HostFacts


@dataclass(frozen=True)
class ExternalHost:
    """Starts and stops nothing. Whether the executor serves a session is for the executor to say."""

    endpoint: Endpoint
    executors: ExecutorClient
    database: Database

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        self.database.transact(worker_starting, session_id, epoch=epoch, host="external")
        self.database.transact(worker_active, session_id, epoch=epoch, base_url=self.endpoint.base_url)
        return self.endpoint

    def facts(self, session_id: UUID) -> HostFacts:  # noqa: ARG002  one executor for whatever session
        try:
            self.executors.health(self.endpoint.base_url)
        except ExecutorError:
            return HostFacts("silent", self.endpoint)
        return HostFacts("alive", self.endpoint)

    def is_dead(self, session_id: UUID) -> bool:  # noqa: ARG002  nobody here could tell
        return False

    def stop(self, session_id: UUID) -> None:
        """Not ours to end."""

    def look_after(self) -> None:
        """Whoever runs it does."""
