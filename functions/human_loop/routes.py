"""List and show agents' requests to people, and take the answers."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from functions.http.auth import actor, permission
from functions.http.openapi import also, conflicts
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import answer
from functions.human_loop.presenters import request_detail_answer, shown_request_answer
from functions.human_loop.schemas import (
    HumanRequestDetailAnswer,
    HumanRequestsAnswer,
    PendingQuery,
    RepliedAnswer,
    ReplyBody,
    RequestsQuery,
    SuggestedRulesAnswer,
)
from functions.runtime.process import api_process
from handlers.human_loop.pending import ShownRequest, history_of, pending, request_for, requests_seen_by
from handlers.human_loop.reply import HumanReply, reply
from handlers.human_loop.suggested_rules import suggested_rules
from schema.row_pages import RowPage

human_loop = APIBlueprint("human_loop", __name__, tag="Human loop")


@human_loop.get("/api/human-loop/pending")
@permission("human_loop:read")
@human_loop.input(PendingQuery, location="query")
@human_loop.output(HumanRequestsAnswer)
@human_loop.doc(responses=also({404: {}}))
def list_pending(query_data: PendingQuery) -> Response:
    """List requests that wait for you, oldest first

    Requests of your own sessions, and requests escalated to you or a role of yours.
    """
    after = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        requests = pending(conn, actor(), session_id=query_data.session_id, after=after, limit=query_data.limit)
    return answer(_page(requests))


@human_loop.get("/api/human-loop")
@permission("human_loop:read")
@human_loop.input(RequestsQuery, location="query")
@human_loop.output(HumanRequestsAnswer)
@human_loop.doc(responses=also({404: {}}))
def list_requests(query_data: RequestsQuery) -> Response:
    """List requests, open and closed, newest first

    Requests of your own sessions and those escalated to you; with `sessionId` all of a session that you may see.
    """
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        requests = requests_seen_by(
            conn,
            actor(),
            session_id=query_data.session_id,
            are_open=query_data.are_open,
            before=before,
            limit=query_data.limit,
        )
    return answer(_page(requests))


@human_loop.get("/api/human-loop/<uuid:request_id>/rules")
@permission("human_loop:read")
@human_loop.output(SuggestedRulesAnswer)
def get_suggested_rules(request_id: UUID) -> Response:
    """List rules that would allow such a call, the narrowest first"""
    with api_process().transaction() as conn:
        return answer(SuggestedRulesAnswer(items=suggested_rules(actor(), request_for(conn, actor(), request_id))))


def _page(requests: RowPage[ShownRequest]) -> HumanRequestsAnswer:
    last = requests[-1] if requests.is_full else None
    next_cursor = page_cursor(last.requested_at, last.id) if last else None
    items = [shown_request_answer(request, actor()) for request in requests]
    return HumanRequestsAnswer(items=items, next_cursor=next_cursor)


@human_loop.get("/api/human-loop/<uuid:request_id>")
@permission("human_loop:read")
@human_loop.output(HumanRequestDetailAnswer)
def get_request(request_id: UUID) -> Response:
    """Show a request, its decision, and who decided"""
    with api_process().transaction() as conn:
        request = request_for(conn, actor(), request_id)
        return answer(request_detail_answer(request, actor(), history_of(conn, request)))


@human_loop.post("/api/human-loop/reply")
@permission("human_loop:reply")
@human_loop.input(ReplyBody)
@human_loop.output(RepliedAnswer)
@human_loop.doc(responses=conflicts("already_answered", "capability_missing"))
def post_reply(json_data: ReplyBody) -> Response:
    """Answer a request

    Once: 409 `already_answered` carries the request's status. 409 `capability_missing` names an option that the agent
    lacks. Answers to a form are checked against it: 422 `answers_do_not_fit` names the fields.
    """
    submitted = HumanReply(
        request_id=json_data.request_id,
        decision=json_data.decision,
        option_id=json_data.option_id,
        reason=json_data.reason,
        answers=json_data.answers,
        arguments=json_data.arguments,
    )
    with api_process().transaction() as conn:
        request = reply(conn, actor(), submitted, stop_policy=api_process().stop_policy)
    return answer(RepliedAnswer(request_id=request.id, status=request.status))
