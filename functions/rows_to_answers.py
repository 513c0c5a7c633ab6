"""How rows become answers."""

from __future__ import annotations

from typing import Any

from functions.answers import (
    Capabilities,
    HumanRequestAnswer,
    HumanRequestDetailAnswer,
    ProviderAnswer,
    QueuedAnswer,
    RunAnswer,
    SessionAnswer,
    ShownRequestAnswer,
    StartedAnswer,
    WaitedAnswer,
)
from handlers.pending import ShownRequest
from handlers.providers import Provider
from handlers.read_run import SessionState
from handlers.start_run import Started
from schema.events import Envelope, Reason, RunWarning, Usage
from schema.rows import HumanRequestRow, RunRow, SessionRow


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
    )


def started_answer(started: Started) -> StartedAnswer:
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


def session_answer(session: SessionRow) -> SessionAnswer:
    return SessionAnswer(
        session_id=session.id,
        title=session.title,
        app_id=session.app_id,
        owner_id=session.owner_id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        last_seq=session.last_seq,
        epoch=session.epoch,
    )


def human_request_answer(request: HumanRequestRow) -> HumanRequestAnswer:
    return HumanRequestAnswer(
        request_id=request.id,
        session_id=request.session_id,
        run_id=request.run_id,
        kind=request.kind,
        status=request.status,
        title=request.title,
        tool_call=request.tool_call,
        options=request.options,
        schema=request.answer_schema,
        requested_at=request.requested_at,
        expires_at=request.expires_at,
        on_expiry=request.on_expiry,
    )


def shown_request_answer(request: ShownRequest) -> ShownRequestAnswer:
    told = (request.tool_call or {}).get("diffs")
    diffs = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else None
    return ShownRequestAnswer(
        **dict(human_request_answer(request)),
        session_title=request.session_title,
        run_status=request.run_status,
        diffs=diffs,
        escalated_to=request.escalate_to if request.escalated_at is not None else None,
        escalated_at=request.escalated_at,
    )


def request_detail_answer(request: ShownRequest, history: list[Envelope]) -> HumanRequestDetailAnswer:
    return HumanRequestDetailAnswer(
        **dict(shown_request_answer(request)),
        fingerprint=request.fingerprint,
        attempt=request.attempt,
        answer=request.answer,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
        told=request.outcome_told,
        settled_at=request.settled_at,
        history=history,
    )


def snapshot_message(state: SessionState) -> dict[str, Any]:
    """The first message of a socket that named no cursor."""
    return {
        "kind": "snapshot",
        "session": session_answer(state.session).to_json(),
        "runs": [run_answer(run).to_json() for run in state.runs],
        "requests": [human_request_answer(request).to_json() for request in state.requests],
        "seq": state.session.last_seq,
    }


def provider_answer(provider: Provider) -> ProviderAnswer:
    declared, proved = provider.declared, provider.proved
    return ProviderAnswer(
        name=declared.name,
        title=declared.title,
        ready=declared.ready,
        reason=declared.reason,
        version=provider.version,
        options=provider.options,
        default_model=declared.default_model,
        default_mode=declared.default_mode,
        capabilities=Capabilities(
            declared=declared.capabilities,
            said=dict(provider.said) or None,
            probed=proved.capabilities if proved else None,
            probed_version=provider.version if proved else None,
            probed_at=proved.at if proved else None,
            effective=provider.effective,
        ),
    )


def _reason(run: RunRow) -> Reason | None:
    if run.reason_code is None or run.reason_message is None:
        return None
    return Reason(code=run.reason_code, message=run.reason_message)


def _warnings(run: RunRow) -> list[RunWarning]:
    return [RunWarning.model_validate(warning) for warning in run.warnings]
