"""Read a session's live workspace through the job worker; a snapshot takes over when the worker does not answer."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from functions.files.access import admitted
from functions.files.reading import file_reading
from functions.files.schemas import NotLive, SnapshotPart, SnapshotQuery
from functions.http.auth import actor
from functions.http.job_requests import performed
from handlers.files.live import has_live_files, has_unsaved_files
from handlers.files.tree import FileItem, moment, split_path
from schema.errors import Conflict, Forbidden, Invalid, NotFound, RunyardError, TooLarge, Unavailable
from schema.job_requests import PutLiveFile, ReadLiveFiles, SyncWorker
from schema.job_results import LiveFilesRead, LiveRefusal, WorkerSaved
from schema.live_files import MOST_HEAD_BYTES, LiveHead, LiveHeadQuery, LiveItem

WAIT_SECONDS = 6.0
PUT_SECONDS = 120.0
SAVE_SECONDS = 30.0
MOST_LIVE_BYTES = 1 << 30
"""Longer live files are downloaded from a snapshot only: the executor first puts a live one into the store."""


@dataclass(frozen=True)
class LiveRead:
    """The live workspace's content, or why a snapshot takes over."""

    read: LiveFilesRead | None = None
    not_live: NotLive | None = None

    @property
    def part(self) -> SnapshotPart:
        assert self.read is not None
        return SnapshotPart(state="live", as_of=self.read.as_of)


def read_live(query: SnapshotQuery, request: ReadLiveFiles, path: str, *, lists: bool = False) -> LiveRead:
    """Read the live workspace unless the query names a snapshot.

    Raises NotFound, FileDenied, and the executor's refusals."""
    with admitted(query.session_id, query.root, path, lists=lists) as conn:
        is_live = query.may_be_live and has_live_files(conn, query.session_id)
    if not is_live:
        _refuse_saved(query)
        return LiveRead()
    read = _performed(request, seconds=WAIT_SECONDS)
    if isinstance(read, LiveFilesRead):
        return LiveRead(read)
    _refuse_saved(query)
    return LiveRead(not_live=read)


@dataclass(frozen=True)
class LiveFile:
    """A file of the live workspace, by its first bytes."""

    query: SnapshotQuery
    path: str
    head: LiveHead

    @property
    def first(self) -> bytes:
        return base64.b64decode(self.head.head)

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end`. Raises Conflict when the file has changed meanwhile."""
        first = self.first
        if end <= len(first):
            yield first[start:end]
            return
        if end - start > MOST_LIVE_BYTES:
            raise TooLarge("The file is too long to be read live. Download it from a snapshot (`at=saved`).")
        put = PutLiveFile(path=self.path, version=self.head.version, start=start, end=end)
        read = _performed(ReadLiveFiles(session_id=self.query.session_id, put=put), seconds=PUT_SECONDS)
        if isinstance(read, NotLive):
            raise Unavailable(f"{read.message} Try again, or download from a snapshot (`at=saved`).", code=read.code)
        yield from file_reading().objects.stream(read.put_key or "")


def live_file(query: SnapshotQuery, path: str, *, most: int = MOST_HEAD_BYTES) -> tuple[LiveFile | None, LiveRead]:
    """Open a live file with its first bytes; None when a snapshot takes over."""
    request = ReadLiveFiles(session_id=query.session_id, head=LiveHeadQuery(path=path, most=most))
    found = read_live(query, request, path)
    head = found.read.head if found.read else None
    return (LiveFile(query, path, head) if head else None), found


def save_changes(query: SnapshotQuery, path: str) -> NotLive | None:
    """Save a worker's changes, so that the newest snapshot has them; return why that was not possible.

    Raises Conflict when only live files are wanted and there are none, or when they cannot be saved."""
    with admitted(query.session_id, query.root, path) as conn:
        is_live = query.may_be_live and has_live_files(conn, query.session_id)
        is_unsaved = query.may_be_live and has_unsaved_files(conn, query.session_id)
    if not is_live:
        _refuse_saved(query)
    if not is_unsaved:
        return None
    request = SyncWorker(session_id=query.session_id, actor=actor().author)
    try:
        performed(request, WorkerSaved, wait_seconds=SAVE_SECONDS, grace_seconds=0)
    except Unavailable as error:
        _refuse_saved(query)
        return NotLive(code=error.problem_code, message=error.detail)
    return None


def file_item(item: LiveItem) -> FileItem:
    """Describe a live item as snapshots' items are."""
    name, at = split_path(item.path)[1], moment(item.mtime_ns)
    return FileItem(name, item.path, item.kind, at, item.mode, size=item.size, target=item.target)


def _performed(request: ReadLiveFiles, *, seconds: float) -> LiveFilesRead | NotLive:
    try:
        read = performed(request, LiveFilesRead, wait_seconds=seconds, grace_seconds=0)
    except Unavailable as error:
        return NotLive(code=error.problem_code, message=error.detail)
    if read.refusal is not None:
        raise refused(read.refusal)
    return read if read.gone is None else NotLive(code="worker_gone", message=read.gone)


def refused(refusal: LiveRefusal) -> RunyardError:
    """Return the job worker's refusal as the error that it was."""
    kinds: dict[HTTPStatus, type[RunyardError]] = {
        HTTPStatus.FORBIDDEN: Forbidden,
        HTTPStatus.NOT_FOUND: NotFound,
        HTTPStatus.CONFLICT: Conflict,
        HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    }
    return kinds.get(HTTPStatus(refusal.status), Invalid)(refusal.detail, code=refusal.code)


def _refuse_saved(query: SnapshotQuery) -> None:
    if query.at == "live":
        raise Conflict("The session has no worker whose files can be read now.", code="not_live")
