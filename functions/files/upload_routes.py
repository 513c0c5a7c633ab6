"""Upload files into a session's workspace, with or without a worker."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request

from functions.files.auditing import audit, note_access
from functions.files.schemas import UploadAnswer, UploadQuery
from functions.http.auth import actor, permission
from functions.http.job_requests import performed
from functions.http.openapi import conflicts
from functions.http.schemas import answer
from functions.runtime.ports import UPLOAD_FORM_BYTES
from functions.runtime.process import api_process
from handlers.access.permissions import session_for
from handlers.files.live import has_live_files
from handlers.files.preview import mime_type_of
from handlers.workspaces.uploads import file_name, keep_upload
from schema.errors import Invalid, TooLarge, Unavailable
from schema.job_requests import PlaceUploads
from schema.job_results import UploadsPlaced

PLACE_SECONDS = 6.0
MULTIPART = "multipart/form-data"
uploads = APIBlueprint("uploads", __name__, tag="Files")
audit(uploads)


@uploads.post("/api/sessions/<uuid:session_id>/uploads")
@permission("files:write")
@uploads.input(UploadQuery, location="query")
@uploads.output(UploadAnswer, status_code=201, description="Kept; `placed` says whether the workspace has it already")
@uploads.doc(
    responses={**conflicts("uploads_waiting"), 413: {"description": "`upload_too_large`"}},
    extensions={
        "x-body": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        }
    },
)
def post_upload(session_id: UUID, query_data: UploadQuery) -> Response:
    """Upload a file into the workspace

    The file is the body, with its `name` in the query; or the part `file` of a form. Name the answered `path` among the
    `attachments` of a run, or in a prompt. Without a worker the file is put into the workspace before the next run.
    """
    note_access(session_id=session_id, root="workspace", path=query_data.name)
    with api_process().transaction() as conn:
        session_for(conn, actor(), session_id)
    note_access(allowed=True)
    name, content = _file(query_data.name)
    mime_type = mime_type_of(file_name(name))
    with api_process().transaction() as conn:
        kept = keep_upload(conn, actor(), session_id, name=name, mime_type=mime_type, content=content)
        is_live = has_live_files(conn, session_id)
    note_access(path=kept.path, bytes=kept.size, files=1)
    placed = is_live and kept.path in _placed(session_id)
    return answer(UploadAnswer(path=kept.path, size=kept.size, mime_type=kept.mime_type, placed=placed), 201)


def _file(name: str | None) -> tuple[str, bytes]:
    """Return the name and the bytes. Raises TooLarge and Invalid."""
    most = api_process().settings.upload_max_bytes
    request.max_content_length = most + UPLOAD_FORM_BYTES
    # werkzeug counts what it reads at once (64 KiB) and what was left before it
    request.max_form_memory_size = 4 * UPLOAD_FORM_BYTES
    if (request.mimetype or "") == MULTIPART:
        file = request.files.get("file")
        if file is None:
            raise Invalid("The form has no part `file`.", code="no_file")
        name, content = name or file.filename, file.read()
    else:
        content = request.get_data(cache=False)
    if len(content) > most:
        raise TooLarge(f"An upload has at most {most} bytes.", code="upload_too_large")
    return name or "file", content


def _placed(session_id: UUID) -> list[str]:
    """Return which uploads the worker has taken now; none when it does not answer, and then they wait."""
    try:
        return performed(
            PlaceUploads(session_id=session_id), UploadsPlaced, wait_seconds=PLACE_SECONDS, grace_seconds=0
        ).paths
    except Unavailable:
        return []
