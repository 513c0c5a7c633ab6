"""List and export who looked at which files, for admins."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from functions.files.audit_export import CSV, JSON_LINES, as_csv, as_json_lines, audit_pages
from functions.files.auditing import audit, note_access
from functions.files.downloads import streamed
from functions.files.schemas import AuditAnswer, AuditExportQuery, AuditFilters, AuditQuery, FileAccessAnswer
from functions.http.auth import permission
from functions.http.openapi import also
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import answer
from functions.runtime.process import api_process
from handlers.files.audit import AuditFilter, file_audit

audits = APIBlueprint("audits", __name__, tag="Administration")
exports = APIBlueprint("audit_exports", __name__, tag="Administration")
audit(exports)


@audits.get("/api/admin/audit")
@permission("audit:read")
@audits.input(AuditQuery, location="query")
@audits.output(AuditAnswer)
def get_audit(query_data: AuditQuery) -> Response:
    """List calls about files, newest first, also those that were refused or failed"""
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        page = file_audit(conn, _chosen(query_data), before=before, limit=query_data.limit)
    cursor = page_cursor(page[-1].at, page[-1].id) if len(page) == query_data.limit else None
    return answer(AuditAnswer(items=[FileAccessAnswer(**vars(row)) for row in page], next_cursor=cursor))


@exports.get("/api/admin/audit/export")
@permission("audit:read")
@exports.input(AuditExportQuery, location="query")
@exports.doc(
    responses=also(
        {
            200: {
                "description": "All calls that fit, newest first",
                "content": {name: {"schema": {"type": "string"}} for name in (JSON_LINES, CSV)},
            }
        }
    )
)
def get_audit_export(query_data: AuditExportQuery) -> Response:
    """Export the audit as JSON Lines or CSV

    CSV cells that a spreadsheet would run as formulas begin with an apostrophe. The export is itself audited.
    """
    note_access(allowed=True, session_id=None, root=None)
    pages = audit_pages(api_process(), _chosen(query_data))
    if query_data.format == "csv":
        return streamed(as_csv(pages), name="audit.csv", mime_type=f"{CSV}; charset=utf-8")
    return streamed(as_json_lines(pages), name="audit.jsonl", mime_type=JSON_LINES)


def _chosen(query: AuditFilters) -> AuditFilter:
    return AuditFilter(
        user_id=query.actor,
        session_id=query.session_id,
        action=query.action,
        allowed=query.allowed,
        text=query.q,
        since=query.from_,
        until=query.to,
    )
