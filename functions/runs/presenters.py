"""Present run rows as wire answers."""

from __future__ import annotations

from functions.runs.schemas import ListedRunAnswer, QueuedAnswer, RunAnswer, StartedAnswer, WaitedAnswer
from handlers.runs.run_list import ListedRun
from handlers.runs.start import StartedRun
from schema.events import Envelope, Reason, RunWarning, Usage
from schema.rows import RunRow
from schema.why_api import Why


def run_answer(run: RunRow, *, queue_position: int | None = None) -> RunAnswer:
    return RunAnswer(
        run_id=run.id,
        session_id=run.session_id,
        provider=run.provider,
        status=run.status,
        reason=_reason(run),
        stop_reason=run.stop_reason,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        usage=None if run.usage is None else Usage.model_validate(run.usage),
        queue_position=queue_position if run.status == "queued" else None,
        bound=run.bound,
        prompt=run.prompt,
        warnings=_warnings(run),
        retry_of=run.retry_of,
    )


def started_answer(started: StartedRun) -> StartedAnswer:
    return StartedAnswer(
        run_id=started.run.id,
        session_id=started.run.session_id,
        status=started.run.status,
        seq=started.seq,
        queue_position=started.queue_position,
        warnings=_warnings(started.run),
    )


def waited_answer(run: RunRow, events: list[Envelope]) -> WaitedAnswer:
    return WaitedAnswer(run=run_answer(run), events=events, warnings=_warnings(run))


def queued_answer(run: RunRow, *, position: int, held_position: int | None) -> QueuedAnswer:
    return QueuedAnswer(
        run_id=run.id,
        status=run.status,
        position=position,
        attempts=run.attempt,
        max_attempts=run.max_attempts,
        claimed_by=run.claimed_by,
        lock_expires_at=None if run.lease_expires_at else run.lock_expires_at,
        next_attempt_at=run.next_attempt_at if run.status == "queued" else None,
        last_error=run.last_error,
        revision=run.revision,
        held_by=run.held_by,
        held_position=held_position,
    )


def listed_run_answer(run: ListedRun, *, may_see: bool, why: Why | None) -> ListedRunAnswer:
    has_reason = run.reason_code is not None and run.reason_message is not None
    return ListedRunAnswer(
        run_id=run.id,
        session_id=run.session_id,
        session_title=run.session_title if may_see else None,
        user_id=run.user_id,
        user_name=run.user_name,
        provider=run.provider,
        status=run.status,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        reason=Reason(code=run.reason_code or "", message=run.reason_message or "") if has_reason else None,
        retry_of=run.retry_of,
        why=None if why is None else why.reason,
        why_code=None if why is None else why.code,
        why_values=None if why is None else why.values,
    )


def _reason(run: RunRow) -> Reason | None:
    if run.reason_code is None or run.reason_message is None:
        return None
    return Reason(code=run.reason_code, message=run.reason_message)


def _warnings(run: RunRow) -> list[RunWarning]:
    return [RunWarning.model_validate(warning) for warning in run.warnings]
