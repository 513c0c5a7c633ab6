"""Present session rows as wire answers."""

from __future__ import annotations

from functions.sessions.schemas import (
    CostAnswer,
    LastAnswer,
    LiveRunAnswer,
    SavedAnswer,
    SessionAnswer,
    SessionUsageAnswer,
)
from functions.sessions.transcript_schemas import TranscriptPart
from handlers.sessions.overview import SessionOverview
from handlers.sessions.transcript_rows import TranscriptPage
from schema.wire import Json

LAST_LENGTH = 200


def session_answer(session: SessionOverview) -> SessionAnswer:
    return SessionAnswer(
        session_id=session.id,
        title=session.title,
        app_id=session.app_id,
        owner_id=session.owner_id,
        created_at=session.created_at,
        updated_at=max(session.updated_at, session.active_at),
        last_seq=session.last_seq,
        epoch=session.epoch,
        trust_workspace=session.trust_workspace,
        status=session.live_status or ("queued" if session.queued else "idle"),
        live=_live(session),
        queued=session.queued,
        needs_me=session.needs_me,
        unread=session.unread,
        read_seq=session.read_seq,
        last_activity_at=session.active_at,
        last=_last(session),
        provider=session.provider,
        saved=_saved(session),
        usage=_usage(session),
        pinned=session.pinned_at is not None,
        archived=session.archived_at is not None,
    )


def _live(session: SessionOverview) -> LiveRunAnswer | None:
    if session.live_run_id is None or session.live_status is None or session.live_provider is None:
        return None
    return LiveRunAnswer(
        run_id=session.live_run_id,
        provider=session.live_provider,
        status=session.live_status,
        started_at=session.live_started_at,
    )


def _last(session: SessionOverview) -> LastAnswer | None:
    if session.question is not None:
        return LastAnswer(type="question", text=session.question[:LAST_LENGTH])
    return None if session.prompt is None else LastAnswer(type="prompt", text=session.prompt[:LAST_LENGTH])


def _saved(session: SessionOverview) -> SavedAnswer:
    """A session that never had a worker holds nothing that could be lost."""
    is_saved = session.is_saved is not False
    return SavedAnswer(
        is_saved=is_saved,
        saved_up_to_run_number=session.saved_up_to_run_number or None,
        unsaved_files=0 if is_saved else None,
    )


def _usage(session: SessionOverview) -> SessionUsageAnswer:
    return SessionUsageAnswer(
        runs=session.runs_with_usage,
        input_tokens=session.input_tokens,
        output_tokens=session.output_tokens,
        cached_read_tokens=session.cached_read_tokens,
        cached_write_tokens=session.cached_write_tokens,
        cost=[CostAnswer(currency=cost["currency"], amount=float(cost["amount"])) for cost in session.cost or ()],
        without_cost=session.without_cost,
    )


def transcript_json(page: TranscriptPage) -> Json:
    """Return the JSON of a TranscriptAnswer. The fold has made the items already."""
    users = {str(user_id): name for user_id, name in page.users.items()}
    cursor = {} if page.prev_cursor is None else {"prevCursor": page.prev_cursor}
    return {"items": page.items, "users": users, "seq": page.seq, **cursor}


def transcript_part(page: TranscriptPage) -> TranscriptPart:
    return TranscriptPart.model_validate({"items": page.items, "seq": page.seq, "prevCursor": page.prev_cursor})
