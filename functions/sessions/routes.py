"""Open, list, rename and delete sessions; list their runs and logs."""

from __future__ import annotations

import json
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.events.follow import refuse_cursor_ahead
from functions.http.auth import actor, permission
from functions.http.openapi import conflicts
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import MAX_SEQ, EventsAnswer, EventsQuery, PageQuery, answer
from functions.runs.presenters import run_answer
from functions.runs.routes import events_answer
from functions.runs.schemas import RunsAnswer
from functions.runtime.process import api_process
from functions.sessions.presenters import session_answer, transcript_json
from functions.sessions.schemas import (
    EditSessionBody,
    OpenSessionBody,
    ReadBody,
    SessionAnswer,
    SessionsAnswer,
    SessionsQuery,
)
from functions.sessions.transcript_schemas import TranscriptAnswer, TranscriptQuery
from handlers.access.permissions import session_for
from handlers.event_log import session_event, session_events, session_events_before
from handlers.runs.read import queue_position, runs_of
from handlers.sessions.edit import delete_session, open_session, rename_session
from handlers.sessions.overview import SessionFilter, list_sessions, mark_session, mark_session_read, overview_of
from handlers.sessions.transcript_rows import transcript_page
from schema.errors import NotFound
from schema.events import Envelope

sessions = APIBlueprint("sessions", __name__, tag="Sessions")


@sessions.get("/api/sessions")
@permission("sessions:read")
@sessions.input(SessionsQuery, location="query")
@sessions.output(SessionsAnswer)
def get_sessions(query_data: SessionsQuery) -> Response:
    """List your sessions, newest or most recently active first"""
    chosen = SessionFilter(
        text=query_data.q,
        status=query_data.status,
        needs_me=query_data.needs_me,
        app_id=query_data.app_id,
        provider=query_data.provider,
        is_archived=query_data.archived,
        is_pinned=query_data.pinned,
        by_activity=query_data.sort == "activity",
    )
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        page = list_sessions(conn, actor(), chosen, before=before, limit=query_data.limit)
    last = page[-1] if len(page) == query_data.limit else None
    cursor = page_cursor(last.active_at if chosen.by_activity else last.created_at, last.id) if last else None
    return answer(SessionsAnswer(items=[session_answer(session) for session in page], next_cursor=cursor))


@sessions.post("/api/sessions")
@permission("sessions:write")
@sessions.input(OpenSessionBody)
@sessions.output(SessionAnswer, status_code=201)
def create_session(json_data: OpenSessionBody) -> Response:
    """Open a session"""
    with api_process().transaction() as conn:
        session = open_session(conn, actor(), title=json_data.title, app_id=json_data.app_id)
        opened = session_answer(overview_of(conn, actor(), session.id))
    return answer(opened, 201, Location=f"/api/sessions/{session.id}")


@sessions.get("/api/sessions/<uuid:session_id>")
@permission("sessions:read")
@sessions.output(SessionAnswer)
def get_session(session_id: UUID) -> Response:
    """Get a session"""
    with api_process().transaction() as conn:
        return answer(session_answer(overview_of(conn, actor(), session_id)))


@sessions.patch("/api/sessions/<uuid:session_id>")
@permission("sessions:write")
@sessions.input(EditSessionBody)
@sessions.output(SessionAnswer)
def patch_session(session_id: UUID, json_data: EditSessionBody) -> Response:
    """Rename, pin or archive a session"""
    with api_process().transaction() as conn:
        if json_data.title is not None:
            rename_session(conn, actor(), session_id, title=json_data.title)
        mark_session(conn, actor(), session_id, pinned=json_data.pinned, archived=json_data.archived)
        return answer(session_answer(overview_of(conn, actor(), session_id)))


@sessions.put("/api/sessions/<uuid:session_id>/read")
@permission("sessions:read")
@sessions.input(ReadBody)
@sessions.output({}, status_code=204)
def put_read(session_id: UUID, json_data: ReadBody) -> Response:
    """Say up to which event you have read a session"""
    with api_process().transaction() as conn:
        mark_session_read(conn, actor(), session_id, seq=json_data.seq)
    return Response(status=204)


@sessions.delete("/api/sessions/<uuid:session_id>")
@permission("sessions:write")
@sessions.output({}, status_code=204)
@sessions.doc(responses=conflicts("session_busy"))
def remove_session(session_id: UUID) -> Response:
    """Delete a session

    409 `session_busy` while a run of the session has not ended. Runyard keeps the session's runs, log and files.
    """
    with api_process().transaction() as conn:
        delete_session(conn, actor(), session_id)
    return Response(status=204)


@sessions.get("/api/sessions/<uuid:session_id>/runs")
@permission("runs:read")
@sessions.input(PageQuery, location="query")
@sessions.output(RunsAnswer)
def list_runs(session_id: UUID, query_data: PageQuery) -> Response:
    """List a session's runs, newest first"""
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        session_for(conn, actor(), session_id)
        runs = runs_of(conn, session_id, before=before, limit=query_data.limit)
        items = [
            run_answer(run, queue_position=queue_position(conn, run) if run.status == "queued" else None)
            for run in runs
        ]
    last = runs[-1] if runs.is_full else None
    return answer(RunsAnswer(items=items, next_cursor=page_cursor(last.created_at, last.id) if last else None))


@sessions.get("/api/sessions/<uuid:session_id>/events")
@permission("runs:read")
@sessions.input(EventsQuery, location="query")
@sessions.output(EventsAnswer)
@sessions.doc(responses=conflicts("bad_cursor"))
def get_session_events(session_id: UUID, query_data: EventsQuery) -> Response:
    """List a session's log, oldest first

    With `before` backwards: the events before that number, newest first; `nextCursor` is then the next `before`.
    """
    with api_process().transaction() as conn:
        last_seq = session_for(conn, actor(), session_id).last_seq
        if query_data.before is None:
            refuse_cursor_ahead(last_seq, query_data.after)
            events = session_events(conn, session_id, after=query_data.after, limit=query_data.limit)
        else:
            events = session_events_before(conn, session_id, before=query_data.before, limit=query_data.limit)
    return answer(events_answer(events))


@sessions.get("/api/sessions/<uuid:session_id>/transcript")
@permission("runs:read")
@sessions.input(TranscriptQuery, location="query")
@sessions.output(TranscriptAnswer)
def get_transcript(session_id: UUID, query_data: TranscriptQuery) -> Response:
    """Get a session's log folded for reading

    Prompts, answers, tool calls and requests, oldest first. Inputs, outputs and diffs are cut at 8 KiB.
    """
    with api_process().transaction(snapshot=True) as conn:
        session_for(conn, actor(), session_id)
        page = transcript_page(conn, session_id, before=query_data.before, limit=query_data.limit)
    return Response(json.dumps(transcript_json(page), ensure_ascii=False), mimetype="application/json")


@sessions.get("/api/sessions/<uuid:session_id>/events/<int:seq>")
@permission("runs:read")
@sessions.output(Envelope)
def get_session_event(session_id: UUID, seq: int) -> Response:
    """Get one event of a session's log, whole"""
    if seq > MAX_SEQ:
        raise NotFound("The session has no such event.", code="unknown_event")
    with api_process().transaction() as conn:
        session_for(conn, actor(), session_id)
        return answer(session_event(conn, session_id, seq=seq))
