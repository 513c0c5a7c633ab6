"""Hosts start, stop and remove session workers. A setting chooses the Host.

A host knows processes or containers, and volumes. A volume is the folder or the Docker volumes that hold a session's
workspace and home. A host knows no rows, locks, snapshots or restores. jobs/workers/activate.py and
jobs/workers/retirement.py call it. They hold the worker's lock (handlers/workers/rows.py, hold_worker) during each
start, stop or removal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from jobs.runtime.executor_client import Endpoint
from schema.errors import RunyardError


class HostFailed(RunyardError):
    """The session's worker did not start."""

    code: ClassVar[str] = "worker_not_started"


@dataclass(frozen=True)
class HostFacts:
    """The state of a session's worker as its host sees it.

    `state` is the executor's: `absent` without a volume, `dead` when it can restart on its volume, `silent` when it
    runs and does not answer, `alive` when it answers at `endpoint`. `volume` is `gone` only if the host is certain.
    `volume_epoch` is the epoch that the volume was made for; None without a volume or when the host cannot tell.
    """

    state: Literal["absent", "dead", "silent", "alive"]
    endpoint: Endpoint | None = None
    volume: Literal["exists", "gone"] = "exists"
    volume_epoch: int | None = None

    def has_volume(self, epoch: int) -> bool:
        """Whether the volume of this epoch exists. A volume of an older epoch no longer belongs to the session."""
        return self.volume == "exists" and self.volume_epoch in (None, epoch)


GONE = HostFacts("absent", volume="gone")


class Host(Protocol):
    """Starts and stops session workers. Every method blocks.

    Every method raises HostFailed when the host cannot act or cannot tell: a container engine that does not answer
    proves no volume gone.
    """

    @property
    def name(self) -> str:
        """The host's name in worker rows: `process`, `docker`, `external`."""
        ...

    def ensure_started(self, session_id: UUID, epoch: int) -> Endpoint:
        """Return the endpoint of the session's executor on the volume of this epoch; start the executor if needed.

        Create a missing volume. End the executor of an older epoch and set its volume aside first. The call may take as
        long as an executor's start.
        """
        ...

    def facts(self, session_id: UUID) -> HostFacts: ...

    def is_dead(self, session_id: UUID) -> bool:
        """Whether it is certain that no executor of the session runs. The check is cheap: a periodic task calls it."""
        ...

    def progress(self, session_id: UUID) -> tuple[int, ...] | None:
        """Return numbers that change whenever the session's executor runs.

        None without an executor, or when the host cannot tell.
        """
        ...

    def stop(self, session_id: UUID) -> None:
        """End the session's executor and keep its volume. Do nothing without an executor."""
        ...

    def remove(self, session_id: UUID) -> None:
        """End the executor and delete all volumes of the session. Do nothing without volumes."""
        ...

    def sessions(self) -> Mapping[UUID, bool]:
        """Return the sessions with a volume here, each with whether an executor, maybe silent, runs."""
        ...

    def fault(self) -> str | None:
        """Return why no worker can be started now, as a sentence; None when one can. The check is cheap."""
        ...

    def look_after(self) -> None:
        """Do the host's own periodic work: reap ended processes, start spares."""
        ...
