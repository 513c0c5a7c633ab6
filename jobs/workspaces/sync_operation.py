"""Await an executor's sync or restore: poll its state, send links, restart an operation that the executor lost.

No code here runs inside a transaction.
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
LINKS_AT_ONCE = 1000
STALLED_SECONDS = 600.0
RESTARTS = 3

_log = structlog.stdlib.get_logger(__name__)


class OperationFailed(RunyardError):
    """The executor could not complete the operation."""

    code: ClassVar[str] = "operation_failed"


class Interrupted(Unavailable):
    """This job worker ends; another one takes over."""

    code: ClassVar[str] = "worker_ending"


class Superseded(RunyardError):
    """This job no longer holds the session."""

    code: ClassVar[str] = "superseded"


@dataclass(frozen=True, kw_only=True)
class OperationRequest:
    """An operation to request. `start` begins a new one and returns its id.

    `may_have` checks whether the operation may get a link; `is_held` checks whether this job still holds the session.
    `link` signs a link, by default one to download. `on_progress` hears of the progress at least every `poll_seconds`.
    """

    endpoint: Endpoint
    trace: Trace
    start: Callable[[], UUID]
    may_have: Callable[[Want], bool]
    is_held: Callable[[], bool]
    link: Callable[[Want], str] | None = None
    on_progress: Callable[[Progress], None] | None = None
    poll_seconds: float = WAIT_SECONDS


def await_operation(context: TaskContext, store: ObjectStorage | None, request: OperationRequest) -> OperationState:
    """Await the operation and return its successful state. Without a store, an operation that wants links fails.

    Raise OperationFailed, ExecutorError, ObjectsUnavailable, Interrupted and Superseded.
    """
    operation_id, restarts, seen = request.start(), 0, _Seen()
    while True:
        if context.closing.is_set():
            raise Interrupted
        if not request.is_held():
            raise Superseded
        state = context.executors.operation(request.endpoint, operation_id, request.trace, wait=request.poll_seconds)
        if state is None:
            restarts += 1
            if restarts > RESTARTS:
                raise OperationFailed("The executor lost the operation repeatedly. Check its log for a crash.")
            _log.warning("operation.unknown", restarts=restarts)
            operation_id, seen = request.start(), _Seen()
        elif state.state == "succeeded":
            return state
        elif state.state == "failed":
            raise OperationFailed(state.error or "The executor reported a failure without a cause.", code=state.code)
        else:
            seen = seen.then(state.progress)
            if request.on_progress is not None:
                request.on_progress(state.progress)
            if state.wants:
                context.executors.give_links(
                    request.endpoint, operation_id, _links(store, request, state.wants), request.trace
                )


@dataclass(frozen=True)
class _Seen:
    """The last progress, and the time since which it has not changed."""

    progress: Progress | None = None
    since: float = 0.0

    def then(self, progress: Progress) -> _Seen:
        if progress != self.progress:
            return _Seen(progress, time.monotonic())
        if time.monotonic() - self.since > STALLED_SECONDS:
            raise OperationFailed(f"The operation made no progress for {STALLED_SECONDS:.0f} s.", code="stalled")
        return self


def _links(store: ObjectStorage | None, request: OperationRequest, wants: list[Want]) -> Links:
    if store is None:
        raise OperationFailed(
            "The executor requested links, but no object store is configured.", code="no_object_store"
        )
    foreign = [want.key for want in wants if not request.may_have(want)]
    if foreign:
        raise OperationFailed(f"The executor requested a link outside its rights: {foreign[0]}.", code="bad_want")
    sign = request.link or (lambda want: store.download_link(want.key))
    return Links(links={f"{want.method} {want.key}": sign(want) for want in wants[:LINKS_AT_ONCE]})
