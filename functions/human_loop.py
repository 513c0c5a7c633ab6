"""What agents ask of people, and the answers."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.admission import actor, permission
from functions.answers import HumanRequestsAnswer, RepliedAnswer, answer
from functions.edge import edge
from functions.openapi import also, conflicts
from functions.requests import PendingQuery, ReplyBody
from functions.rows_to_answers import human_request_answer
from handlers.access import session_for
from handlers.human_loop import Reply, pending, reply

human_loop = APIBlueprint("human_loop", __name__, tag="Human loop")


@human_loop.get("/api/human-loop/pending")
@permission("human_loop:read")
@human_loop.input(PendingQuery, location="query")
@human_loop.output(HumanRequestsAnswer)
@human_loop.doc(responses=also({404: {}}))
def list_pending(query_data: PendingQuery) -> Response:
    """What waits for you, oldest first"""
    with edge().transaction() as conn:
        if query_data.session_id is not None:
            session_for(conn, actor(), query_data.session_id)
        found = pending(conn, actor(), session_id=query_data.session_id)
    return answer(HumanRequestsAnswer(items=[human_request_answer(request) for request in found]))


@human_loop.post("/api/human-loop/reply")
@permission("human_loop:reply")
@human_loop.input(ReplyBody)
@human_loop.output(RepliedAnswer)
@human_loop.doc(responses=conflicts("already_answered", "capability_missing"))
def post_reply(json_data: ReplyBody) -> Response:
    """Answer a request

    Once: 409 `already_answered` tells the request's status. 409 `capability_missing` names what the agent cannot take.
    """
    given = Reply(
        request_id=json_data.request_id,
        decision=json_data.decision,
        option_id=json_data.option_id,
        reason=json_data.reason,
        answers=json_data.answers,
        arguments=json_data.arguments,
    )
    with edge().transaction() as conn:
        request = reply(conn, actor(), given, stop_policy=edge().stop_policy)
    return answer(RepliedAnswer(request_id=request.id, status=request.status))
