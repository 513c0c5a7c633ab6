"""`place_uploads`: put the session's uploads into its live workspace, where they do not exist already."""

from __future__ import annotations

from uuid import UUID

import structlog

from handlers.workers.rows import worker_of
from handlers.workspaces.snapshots import saved_end
from handlers.workspaces.uploads import upload_content, upload_placed, uploads_to_place
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.trace import Trace
from schema.executor_api import END_BEING_KEPT
from schema.job_requests import PlaceUploads
from schema.job_results import UploadsPlaced
from schema.live_files import SAVED_END_HEADER

END_PAUSE_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


def place_requested_uploads(context: TaskContext, request: PlaceUploads) -> UploadsPlaced:
    """Place the uploads of a session with an active worker. Without one, they wait for the next run.

    While the executor keeps the end of a run, wait for it.
    """
    worker = context.database.transact(worker_of, request.session_id)
    if worker is None or worker.status != "active" or worker.restored_at is None:
        return UploadsPlaced()
    try:
        facts = context.host.facts(request.session_id)
        if facts.endpoint is None or not facts.has_volume(worker.epoch):
            return UploadsPlaced()
        trace = Trace(session_id=request.session_id, epoch=worker.epoch)
        while True:
            try:
                return UploadsPlaced(paths=place_uploads(context, facts.endpoint, trace, request.session_id))
            except ExecutorError as error:
                if error.problem != END_BEING_KEPT or context.closing.wait(END_PAUSE_SECONDS):
                    raise
    except (HostFailed, ExecutorError) as error:
        _log.warning("uploads.waiting", why=error.detail)
        return UploadsPlaced()


def place_uploads(context: TaskContext, endpoint: Endpoint, trace: Trace, session_id: UUID) -> list[str]:
    """Place the uploads that this volume lacks, and return their paths. One that the executor refuses stays kept.

    Raise ExecutorError when the executor does not answer.
    """
    placed = []
    for upload in context.database.transact(uploads_to_place, session_id, epoch=trace.epoch):
        content = context.database.transact(upload_content, upload.id)
        if content is None:
            continue
        try:
            headers = {**trace.headers("files.upload"), **_saved_end(context, session_id)}
            context.executors.place_upload(endpoint, upload.path, content, headers)
        except ExecutorError as error:
            if not error.is_refusal:
                raise
            _log.warning("upload.refused", path=upload.path, why=error.detail)
            continue
        context.database.transact(upload_placed, session_id, upload.id, epoch=trace.epoch)
        placed.append(upload.path)
    return placed


def _saved_end(context: TaskContext, session_id: UUID) -> dict[str, str]:
    run_id = context.database.transact(saved_end, session_id)
    return {} if run_id is None else {SAVED_END_HEADER: str(run_id)}
