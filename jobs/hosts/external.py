"""The external host: one executor that somebody else runs, at EXECUTOR_BASE_URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from jobs.hosts import HostFacts
from jobs.runtime.executor_client import Endpoint, ExecutorClient, ExecutorError


@dataclass(frozen=True)
class ExternalHost:
    """Starts and stops nothing. Whether the executor serves a session is for the executor to say, and whether its place
    is the one of before, for whoever runs it: of its places nothing is known."""

    endpoint: Endpoint
    executors: ExecutorClient
    name: str = "external"

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:  # noqa: ARG002  the executor refuses others
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

    def remove(self, session_id: UUID) -> None:
        """Not ours to delete."""

    def sessions(self) -> Mapping[UUID, bool]:
        return {}

    def look_after(self) -> None:
        """Whoever runs it does."""
