"""List who looked at which files, for admins."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.files.schemas import AuditAnswer, AuditQuery, FileAccessAnswer
from functions.http.auth import permission
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import answer
from functions.runtime.process import api_process
from handlers.files.audit import AuditFilter, file_audit

audits = APIBlueprint("audits", __name__, tag="Administration")


@audits.get("/api/admin/audit")
@permission("audit:read")
@audits.input(AuditQuery, location="query")
@audits.output(AuditAnswer)
def get_audit(query_data: AuditQuery) -> Response:
    """List calls about files, newest first, also those that were refused or failed"""
    chosen = AuditFilter(
        user_id=query_data.actor,
        session_id=query_data.session_id,
        action=query_data.action,
        allowed=query_data.allowed,
        text=query_data.q,
        since=query_data.from_,
        until=query_data.to,
    )
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        page = file_audit(conn, chosen, before=before, limit=query_data.limit)
    cursor = page_cursor(page[-1].at, page[-1].id) if len(page) == query_data.limit else None
    return answer(AuditAnswer(items=[FileAccessAnswer(**vars(row)) for row in page], next_cursor=cursor))
