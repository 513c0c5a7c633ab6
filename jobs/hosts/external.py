"""The external host: an executor at EXECUTOR_BASE_URL that its operator runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from jobs.hosts import HostFacts
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError


@dataclass(frozen=True)
class ExternalHost:
    """Uses an executor without starting or stopping it.

    The executor decides which session it serves. Its operator keeps its volume; this host knows no volumes.
    """

    endpoint: Endpoint
    executors: ExecutorClient
    name: str = "external"

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:  # noqa: ARG002  the executor refuses other sessions
        return self.endpoint

    def facts(self, session_id: UUID) -> HostFacts:  # noqa: ARG002  the host has one executor
        try:
            self.executors.health(self.endpoint.base_url)
        except ExecutorError:
            return HostFacts("silent", self.endpoint)
        return HostFacts("alive", self.endpoint)

    def is_dead(self, session_id: UUID) -> bool:  # noqa: ARG002  this host cannot tell
        return False

    def progress(self, session_id: UUID) -> None:
        """Return None: this host cannot tell."""

    def stop(self, session_id: UUID) -> None:
        """Do nothing: the operator ends the executor."""

    def remove(self, session_id: UUID) -> None:
        """Do nothing: the operator deletes the executor's data."""

    def sessions(self) -> Mapping[UUID, bool]:
        return {}

    def fault(self) -> str | None:
        try:
            self.executors.health(self.endpoint.base_url)
        except ExecutorError as error:
            return f"The executor at EXECUTOR_BASE_URL does not answer: {error.detail}"
        return None

    def look_after(self) -> None:
        """Do nothing: the operator looks after the executor."""
