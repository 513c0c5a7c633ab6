"""Hosts start, stop and remove session workers. Each is a Host; which one is used is a setting.

A host knows processes or containers, and places: the folder or volume that a session's workspace lies on. Rows, locks,
what is saved and what is restored are not its business: jobs/workers/activate.py and jobs/workers/retirement.py call
it, and they hold the
worker's lock (handlers/workers/rows.py, hold_worker) whenever they have it start, stop or remove something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from jobs.runtime.executor_client import Endpoint
from schema.errors import RunyardError


class HostFailed(RunyardError):
    """The session's worker could not be started."""

    code: ClassVar[str] = "worker_not_started"


@dataclass(frozen=True)
class HostFacts:
    """What a host knows of a session's worker.

    The executor: `absent` when there is no place for it, `dead` when it can be started again where it was, `silent`
    when it is there and does not answer, `alive` when it answers at `endpoint`. The place is `gone` only if the host is
    certain of it; `place_epoch` is the epoch that it was made for, None when there is none or the host cannot tell.
    """

    state: Literal["absent", "dead", "silent", "alive"]
    endpoint: Endpoint | None = None
    place: Literal["exists", "gone"] = "exists"
    place_epoch: int | None = None

    def has_place(self, epoch: int) -> bool:
        """Whether the place of this epoch is there; one of an older epoch is not the session's any more."""
        return self.place == "exists" and self.place_epoch in (None, epoch)


GONE = HostFacts("absent", place="gone")


class Host(Protocol):
    """Where workers live. All of it blocks, and raises HostFailed when the host cannot do it, or cannot tell: an engine
    that does not answer is no proof that anything is gone."""

    @property
    def name(self) -> str:
        """What worker rows call it: `process`, `docker`, `external`."""
        ...

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        """The session's executor on the place of this epoch, started if it does not run; it may take as long as an
        executor's start. The place is made if there is none; one of an older epoch is ended and put aside first."""
        ...

    def facts(self, session_id: UUID) -> HostFacts: ...

    def is_dead(self, session_id: UUID) -> bool:
        """Cheap, for a look every few seconds: no executor of it runs, for certain."""
        ...

    def stop(self, session_id: UUID) -> None:
        """End the session's executor; its place stays. Nothing happens if there is none."""
        ...

    def remove(self, session_id: UUID) -> None:
        """End the executor and delete all places of the session. Nothing happens if there are none."""
        ...

    def sessions(self) -> Mapping[UUID, bool]:
        """Those that have a place here, and whether an executor (that may be silent) runs on it."""
        ...

    def look_after(self) -> None:
        """What the host does every few seconds for itself: reap what ended, keep spares."""
        ...
