"""Put a file or folder of an older run back into the workspace."""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from functions.files.access import admitted
from functions.files.auditing import audit, note_access
from functions.files.live import refused
from functions.files.schemas import PutBackAnswer, PutBackBody, UndoPutBack
from functions.http.auth import actor, permission
from functions.http.job_requests import performed
from functions.http.openapi import conflicts
from functions.http.schemas import answer
from handlers.files.choose import shows_run_end, snapshot_to_read
from handlers.files.put_back import refuse_unless_at_rest
from handlers.files.tree import read_path
from schema.errors import Invalid
from schema.job_requests import PutBackFiles
from schema.job_results import FilesPutBack
from schema.run_ends import exact_note

WAIT_SECONDS = 120.0
put_backs = APIBlueprint("put_backs", __name__, tag="Files")
audit(put_backs)


@put_backs.post("/api/files/restore")
@permission("files:write")
@put_backs.input(PutBackBody)
@put_backs.output(PutBackAnswer)
@put_backs.doc(responses=conflicts("session_busy", "run_live", "busy", "path_taken"))
def post_restore(json_data: PutBackBody) -> Response:
    """Put a file or folder of an older run back into the workspace

    Only while no run of the session is live or queued. The workspace is saved before and after; the log tells it, and
    `undo` is the body that puts the state before back. The session's worker is started when it is needed.
    """
    path = read_path(json_data.path)
    note_access(session_id=json_data.session_id, root="workspace", path=path)
    request = _request(json_data, path)
    done = performed(request, FilesPutBack, wait_seconds=WAIT_SECONDS)
    if done.refusal is not None:
        raise refused(done.refusal)
    assert done.undo_snapshot_id is not None
    note_access(files=done.files + done.removed, bytes=done.bytes)
    undo = UndoPutBack(session_id=json_data.session_id, snapshot=done.undo_snapshot_id, path=path)
    return answer(
        PutBackAnswer(
            files=done.files,
            removed=done.removed,
            bytes=done.bytes,
            exact=request.exact,
            exact_note=exact_note(exact=request.exact),
            snapshot_id=done.snapshot_id,
            undo=undo,
        ),
        HTTPStatus.OK,
    )


def _request(body: PutBackBody, path: str) -> PutBackFiles:
    if not path:
        raise Invalid("Name a file or folder below the workspace.", code="bad_path")
    if (body.run_id is None) == (body.snapshot is None):
        raise Invalid("Name a run (`runId`) or a snapshot (`snapshot`).")
    with admitted(body.session_id, "workspace", path) as conn:
        snapshot = snapshot_to_read(conn, actor(), body.session_id, snapshot_id=body.snapshot, run_id=body.run_id)
        exact = shows_run_end(conn, body.run_id, snapshot) if body.run_id else None
        note_access(snapshot_id=snapshot.id)
        refuse_unless_at_rest(conn, body.session_id)
    return PutBackFiles(
        session_id=body.session_id,
        user_id=actor().user_id,
        snapshot_id=snapshot.id,
        exact=exact,
        path=path,
        when_missing=body.when_missing,
        author=actor().author,
    )
