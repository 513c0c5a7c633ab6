"""An executor's operation on its workspace, seen through: asked about, given links, asked for again when it is unknown.

Sync and restore go the same way; nothing here is inside a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import structlog

from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage
from jobs.runtime.executor_client import Endpoint
from jobs.runtime.trace import Trace
from schema.errors import RunyardError, Unavailable
from schema.workspace_api import Links, OperationState, Progress, Want

WAIT_SECONDS = 10.0
LINK_SECONDS = 900.0
LINKS_AT_ONCE = 1000
STALLED_SECONDS = 600.0
RESTARTS = 3

_log = structlog.stdlib.get_logger(__name__)


class OperationFailed(RunyardError):
    """The executor could not do it."""

    code: ClassVar[str] = "operation_failed"


class Interrupted(Unavailable):
    """This job worker ends; another one will do it."""

    code: ClassVar[str] = "worker_ending"


class Superseded(RunyardError):
    """It is not for this job to do any more."""

    code: ClassVar[str] = "superseded"


@dataclass(frozen=True, kw_only=True)
class OperationRequest:
    """What is wanted of an executor. `start` asks for it, as a new operation each time; `may_have` says whether a link
    is the operation's to have; `stands` whether it is still for this job to do."""

    endpoint: Endpoint
    trace: Trace
    start: Callable[[], UUID]
    may_have: Callable[[Want], bool]
    is_held: Callable[[], bool]


def see_through(context: TaskContext, store: ObjectStorage | None, asked: OperationRequest) -> OperationState:
    """The operation that has succeeded; without a store only one that wants no links can. Raises OperationFailed,
    ExecutorError, ObjectsUnavailable, Interrupted and Superseded."""
    operation_id, restarts, seen = asked.start(), 0, _Seen()
    while True:
        if context.closing.is_set():
            raise Interrupted
        if not asked.is_held():
            raise Superseded
        state = context.executors.operation(asked.endpoint, operation_id, asked.trace, wait=WAIT_SECONDS)
        if state is None:
            restarts += 1
            if restarts > RESTARTS:
                raise OperationFailed("The executor forgot the operation again and again: does it crash over it?")
            _log.warning("operation.unknown", restarts=restarts)
            operation_id, seen = asked.start(), _Seen()
        elif state.state == "succeeded":
            return state
        elif state.state == "failed":
            raise OperationFailed(state.error or "The executor does not say why.", code=state.code)
        else:
            seen = seen.then(state.progress)
            if state.wants:
                context.executors.give_links(
                    asked.endpoint, operation_id, _links(store, asked, state.wants), asked.trace
                )


@dataclass(frozen=True)
class _Seen:
    """The progress that was seen last, and since when."""

    progress: Progress | None = None
    since: float = 0.0

    def then(self, progress: Progress) -> _Seen:
        if progress != self.progress:
            return _Seen(progress, time.monotonic())
        if time.monotonic() - self.since > STALLED_SECONDS:
            raise OperationFailed(f"The executor got no further for {STALLED_SECONDS:.0f} s.", code="stalled")
        return self


def _links(store: ObjectStorage | None, asked: OperationRequest, wants: list[Want]) -> Links:
    if store is None:
        raise OperationFailed("The executor asks for links, and no object store is set up.", code="no_object_store")
    foreign = [want.key for want in wants if not asked.may_have(want)]
    if foreign:
        raise OperationFailed(f"The executor asks for a link that is not its to have: {foreign[0]}.", code="bad_want")
    return Links(
        links={
            f"{want.method} {want.key}": store.link(want.method, want.key, LINK_SECONDS)
            for want in wants[:LINKS_AT_ONCE]
        }
    )
