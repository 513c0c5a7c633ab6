"""Hosts start and stop session workers. Each is a Host; which one is used is a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from jobs.executor_client import Endpoint
from schema.errors import RunyardError


class HostFailed(RunyardError):
    """The session's worker could not be started."""

    code: ClassVar[str] = "worker_not_started"


@dataclass(frozen=True)
class HostFacts:
    """What a host knows of a session's worker: `absent` never was, `dead` was and can be started again where it was,
    `silent` is there and does not answer, `alive` answers at `endpoint`."""

    state: Literal["absent", "dead", "silent", "alive"]
    endpoint: Endpoint | None = None


class Host(Protocol):
    """A place where workers live. All of it blocks; `ensure_started` may take as long as an executor's start."""

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        """The session's executor, started if it does not run. Raises HostFailed."""
        ...

    def facts(self, session_id: UUID) -> HostFacts: ...

    def is_dead(self, session_id: UUID) -> bool:
        """Cheap, for a look every few seconds: was there, and is certainly gone."""
        ...

    def stop(self, session_id: UUID) -> None:
        """End the session's executor; its folder or volume stays. Nothing happens if there is none."""
        ...

    def look_after(self) -> None:
        """What the host does every few seconds: reap what ended and note which idle executors have gone."""
        ...
