"""`execute_run`: claim a run, start its worker, and dispatch the run to the executor. The job does not await the agent.

The job settles a failure before the dispatch: it requeues the run, or fails it with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

import structlog

from handlers.apps.apps import app_by_id
from handlers.human_loop.approval_rules import some_rule_restricts
from handlers.runs.claim import (
    Claimed,
    abandon,
    claim_run,
    give_back,
    hold_for_end,
    hold_for_part,
    record_dispatched,
    refuse,
    requeue,
)
from handlers.runs.handover import UnseenRun, hand_over
from handlers.runs.limits import NeededPart, any_run_waits_for_store, start_missed_throttled
from handlers.runs.settle import RetryPolicy, has_attempts_left
from handlers.workspaces.snapshots import saved_end
from handlers.workspaces.uploads import attachments_of
from jobs.context import TaskContext, trace_of
from jobs.files.uploads import place_uploads
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.trace import Trace
from jobs.workers.activate import activate, at_work
from jobs.workers.callbacks import callback_of
from jobs.workspaces.restore import RestoreIncomplete
from jobs.workspaces.validate import require_whole
from schema.errors import RunyardError, WorkspaceRefused
from schema.executor_api import END_BEING_KEPT, Attachment, Handover, StartRun
from schema.options import AppOptions
from schema.rows import RunRow
from schema.runtime_manifest import ignore_patterns
from schema.sql import Conn, fetch_the

BUSY_SECONDS = 10.0
BUSY_PAUSE_SECONDS = 0.05
END_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3600.0
"""The longest pause that an executor may request by Retry-After."""

ExecuteOutcome = Literal["nothing_to_do", "started", "superseded", "requeued", "ended", "left"]

_log = structlog.stdlib.get_logger(__name__)


def execute_run(context: TaskContext, run_id: UUID) -> ExecuteOutcome:
    """Execute a run and return the outcome.

    It is `nothing_to_do` when the run cannot be claimed, `left` when another claim holds it.
    """
    settings = context.settings
    claimed = context.database.transact(
        claim_run,
        run_id,
        owner=context.claimer,
        lock_seconds=settings.lock_seconds,
        limits=context.run_limits,
        host_fault=context.host_condition.fault(),
        away=context.parts_away,
    )
    if claimed is None:
        return "nothing_to_do"
    run = claimed.run
    with trace_of(run).in_logs(), context.claims.renewing(run):
        outcome = _start(context, claimed)
        _log.info("run.job_ended", outcome=outcome, attempt=run.attempt, claim=run.claim)
    return outcome


def start_throttled(context: TaskContext) -> None:
    """Enqueue the throttled run that may start. Runs that wait for the host or the store wait until it works."""
    if context.database.transact(any_run_waits_for_store):
        context.store_condition.fault()  # a look that `parts_away` does not take itself
    context.database.transact(start_missed_throttled, context.run_limits, away=context.parts_away)


def _start(context: TaskContext, claimed: Claimed) -> ExecuteOutcome:
    run = claimed.run
    try:
        return _hand_over(context, claimed)
    except HostFailed as error:
        return _without_host(context, run, error)
    except RestoreIncomplete as error:
        return _without_workspace(context, run, error)
    except WorkspaceRefused as error:
        return _refused(context, run, code=error.problem_code, message=error.detail)
    except ExecutorError as error:
        return _after_error(context, run, error)


def _hand_over(context: TaskContext, claimed: Claimed) -> ExecuteOutcome:
    """Dispatch the run. If the executor died just before the call, retry once on a new one on the same volume."""
    run = claimed.run
    for is_last in (False, True):
        worker = None if is_last else at_work(context, run, claimed.worker)
        if worker is None:
            worker = activate(context, run.session_id, run=run)
            if not context.claims.is_held(run):  # the activation may have taken long
                return "superseded"
        there = replace(run, epoch=worker.epoch)
        try:
            with trace_of(there).in_logs():
                return _dispatch_when_end_is_kept(context, replace(claimed, run=there), worker.endpoint)
        except ExecutorError as error:
            if is_last or error.kind != "network" or not context.host.is_dead(run.session_id):
                raise
    raise AssertionError("the last round returns or raises")


def _dispatch_when_end_is_kept(context: TaskContext, claimed: Claimed, endpoint: Endpoint) -> ExecuteOutcome:
    """Dispatch the run. While the executor keeps the end of the run before, ask again, for as long as it takes.

    The run can be stopped meanwhile. A job worker that ends gives it back.
    """
    run, is_told = claimed.run, False
    while True:
        try:
            return _dispatch(context, claimed, endpoint)
        except ExecutorError as error:
            if error.problem != END_BEING_KEPT:
                raise
        if not is_told:
            context.database.transact(hold_for_end, run)
            is_told = True
        if context.closing.wait(END_PAUSE_SECONDS):
            return "requeued" if context.database.transact(give_back, run) else "superseded"
        if not context.claims.is_held(run):
            return "superseded"


def _dispatch(context: TaskContext, claimed: Claimed, endpoint: Endpoint) -> ExecuteOutcome:
    run, trace = claimed.run, trace_of(claimed.run)
    place_uploads(context, endpoint, trace, claimed.run.session_id)
    require_whole(context, endpoint, claimed.manifest, trace)
    _start_when_free(context, endpoint, _start_request(context, claimed), trace)
    if context.database.transact(_is_dispatched, run, lease_seconds=context.settings.run_lease_seconds):
        return "started"
    context.executors.stop_run(endpoint, run.id, claim=run.claim, trace=trace)
    return "superseded"


def _is_dispatched(conn: Conn, run: RunRow, *, lease_seconds: float) -> bool:
    """Record the dispatch. A quick run may be over before; only a newer claim means a stop or another claim."""
    if record_dispatched(conn, run, lease_seconds=lease_seconds) == "dispatched":
        return True
    return fetch_the(conn, "run_by_id", RunRow, run_id=run.id).claim == run.claim


def _start_request(context: TaskContext, claimed: Claimed) -> StartRun:
    run = claimed.run
    options, must_ask = context.database.transact(_decided_now, run)
    return StartRun(
        run_id=run.id,
        session_id=run.session_id,
        attempt=run.attempt,
        claim=run.claim,
        epoch=run.epoch or 1,
        provider=run.provider,
        prompt=run.prompt,
        options=options,
        must_ask=must_ask,
        timeout_seconds=run.timeout_seconds,
        resume=claimed.resume,
        answers=claimed.answers,
        todos=claimed.todos,
        handover=_handover(context, claimed.run, claimed.unseen),
        handover_if_lost=_handover(context, claimed.run, claimed.if_lost),
        cut_off=claimed.cut_off,
        attachments=[
            Attachment(path=upload.path, mime_type=upload.mime_type, size=upload.size)
            for upload in context.database.transact(attachments_of, run.id)
        ],
        ignore=ignore_patterns(claimed.manifest),
        saved_end=context.database.transact(saved_end, run.session_id),
        callback=callback_of(context, run.id, attempt=run.attempt),
        traceparent=run.traceparent,
    )


def _decided_now(conn: Conn, run: RunRow) -> tuple[AppOptions, bool]:
    """Return the run's options and whether a rule restricts it. An app that trusts no workspace by now ends its trust
    in queued runs too."""
    options = AppOptions.model_validate(run.options)
    if options.trust_workspace and app_by_id(conn, run.app_id).options.get("trustWorkspace") is not True:
        options = options.model_copy(update={"trust_workspace": False})
    return options, some_rule_restricts(conn, run)


def _handover(context: TaskContext, run: RunRow, unseen: Sequence[UnseenRun]) -> Handover | None:
    if not unseen:
        return None
    most = context.settings.handover_max_tokens
    return context.database.transact(hand_over, run, unseen, max_tokens=most)


def _start_when_free(context: TaskContext, endpoint: Endpoint, start: StartRun, trace: Trace) -> None:
    """Start the run, and wait while the agent of the last run still ends."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            context.executors.start_run(endpoint, start, trace)
        except ExecutorError as error:
            if error.problem != "busy" or time.monotonic() > deadline or context.closing.is_set():
                raise
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return


def _after_error(context: TaskContext, run: RunRow, error: ExecutorError) -> ExecuteOutcome:
    if error.status == 409 and (error.problem or "").startswith("stale_"):
        _log.warning("run.claimed_elsewhere", problem=error.problem, why=error.detail)
        return "left"
    if error.problem == "busy":
        return _requeued(
            context, run, code="executor_busy", message="The last run's agent did not end on the executor."
        )
    if error.is_refusal:
        context.database.transact(abandon, run, code="executor_refused", message=error.detail)
        return "ended"
    pause = min(error.retry_after or 0, LONGEST_PAUSE_SECONDS)
    return _requeued(context, run, code="executor_unreachable", message=error.detail, pause_seconds=pause)


def _without_host(context: TaskContext, run: RunRow, error: HostFailed) -> ExecuteOutcome:
    """Requeue the run. While the host can start no worker at all, the run waits for it and uses no attempt."""
    return _waits_for(context, run, "host", error) or _requeued(
        context, run, code=error.problem_code, message=error.detail
    )


def _without_workspace(context: TaskContext, run: RunRow, error: RestoreIncomplete) -> ExecuteOutcome:
    """Requeue the run, or block it after its last attempt: a run never starts on a partial workspace. While the store
    does not answer, the run waits for it and uses no attempt."""
    waits = _waits_for(context, run, "store", error)
    if waits is not None:
        return waits
    if context.database.transact(has_attempts_left, run):
        return _requeued(context, run, code=error.problem_code, message=error.detail)
    return _refused(context, run, code=error.problem_code, message=error.detail)


def _waits_for(context: TaskContext, run: RunRow, part: NeededPart, error: RunyardError) -> ExecuteOutcome | None:
    """Hold the run until the part works. Return None when nothing is wrong with the part."""
    condition = context.host_condition if part == "host" else context.store_condition
    condition.look_again()
    fault = condition.fault()
    if fault is None:
        return None
    _log.warning("run.waits", part=part, code=error.problem_code, why=error.detail)
    is_queued = context.database.transact(
        hold_for_part, run, context.retry_policy, part=part, fault=fault, code=error.problem_code, message=error.detail
    )
    return "requeued" if is_queued else "superseded"


def _refused(context: TaskContext, run: RunRow, *, code: str, message: str) -> ExecuteOutcome:
    _log.warning("run.refused", code=code, why=message)
    return "ended" if context.database.transact(refuse, run, code=code, message=message) else "superseded"


def _requeued(
    context: TaskContext, run: RunRow, *, code: str, message: str, pause_seconds: float = 0
) -> ExecuteOutcome:
    """Requeue the run for another attempt after at least `pause_seconds`."""
    _log.warning("run.requeued", code=code, why=message)
    policy = RetryPolicy(delay_seconds=max(context.retry_policy.delay_seconds, pause_seconds))
    if context.database.transact(requeue, run, policy, code=code, message=message):
        return "requeued"
    return "superseded"
