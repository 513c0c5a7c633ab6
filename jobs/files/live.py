"""`read_live_files`: read a live workspace through its executor. A worker that is gone is a result, not an error."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from handlers.workers.rows import worker_of
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.object_store.contract import UploadTerms
from jobs.runtime.executor_client import Endpoint, ExecutorError
from jobs.runtime.trace import Trace
from schema.errors import RunyardError
from schema.job_requests import PutLiveFile, ReadLiveFiles
from schema.job_results import LiveFilesRead, LiveRefusal
from schema.live_files import LiveHead, LiveItems, PutFile
from schema.object_keys import live_file_key

LINK_SECONDS = 300.0


class WorkerGone(RunyardError):
    """The session's worker does not answer."""


def read_live_files(context: TaskContext, request: ReadLiveFiles) -> LiveFilesRead:
    """Read what is asked for. The executor's refusals of a path, and its absence, are results."""
    as_of = datetime.now(UTC)
    try:
        endpoint, trace = _worker(context, request)
        return _read(context, request, endpoint, trace).model_copy(update={"as_of": as_of})
    except ExecutorError as error:
        if error.status in (404, 409, 422) and error.problem is not None:
            sentence = error.detail.partition(": ")[2] or error.detail
            refusal = LiveRefusal(status=error.status, code=error.problem, detail=sentence)
            return LiveFilesRead(as_of=as_of, refusal=refusal)
        return LiveFilesRead(as_of=as_of, gone="The session's worker does not answer.")
    except (WorkerGone, HostFailed) as error:
        return LiveFilesRead(as_of=as_of, gone=error.detail)


def _worker(context: TaskContext, request: ReadLiveFiles) -> tuple[Endpoint, Trace]:
    worker = context.database.transact(worker_of, request.session_id)
    if worker is None or worker.status != "active" or worker.restored_at is None:
        raise WorkerGone("The session has no worker at work.")
    facts = context.host.facts(request.session_id)
    if facts.endpoint is None or not facts.has_volume(worker.epoch):
        raise WorkerGone
    return facts.endpoint, Trace(session_id=request.session_id, epoch=worker.epoch)


def _read(context: TaskContext, request: ReadLiveFiles, endpoint: Endpoint, trace: Trace) -> LiveFilesRead:
    read, as_of = context.executors.read_files, datetime.now(UTC)
    if request.folder is not None:
        return LiveFilesRead(as_of=as_of, items=read(endpoint, "tree", request.folder, LiveItems, trace))
    if request.search is not None:
        return LiveFilesRead(as_of=as_of, items=read(endpoint, "search", request.search, LiveItems, trace))
    if request.head is not None:
        return LiveFilesRead(as_of=as_of, head=read(endpoint, "head", request.head, LiveHead, trace))
    assert request.put is not None
    return LiveFilesRead(as_of=as_of, put_key=_put(context, request, request.put, endpoint, trace))


def _put(context: TaskContext, request: ReadLiveFiles, put: PutLiveFile, endpoint: Endpoint, trace: Trace) -> str:
    """Have the executor upload the bytes, and return their key. Garbage collection deletes them after its grace."""
    if context.store is None:
        raise WorkerGone("Long files are downloaded through the object store, and none is configured.")
    key = live_file_key(request.session_id, uuid4())
    # No snapshot names this key, so it needs no condition, which an executor of an older release would not send.
    link = context.store.upload_link(key, UploadTerms(put.end - put.start), LINK_SECONDS)
    context.executors.put_file(endpoint, PutFile(**vars(put), link=link), trace)
    return key
