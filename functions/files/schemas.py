"""Queries and answers of the routes about files."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from functions.http.schemas import Moment, PageQuery
from handlers.files.compare import FileChange
from handlers.files.preview import LineEnds, PreviewKind
from handlers.files.tree import FileKind
from schema.text_search import TextMatch
from schema.wire import Request, Text, Wire
from schema.workspace_api import Root

MOST_PATH = 6000
FilesState = Literal["live", "saved"]
Path = Annotated[
    Text,
    Field(
        max_length=MOST_PATH,
        description="Path below the root, as a listing names it: `base64:` and base64 where it is not UTF-8.",
    ),
]


class SnapshotQuery(Request):
    """Which state of a session's files. Without `snapshot` and `runId`: the live workspace while a worker is at work,
    else the newest snapshot. `at=live` is refused without a worker (409 `not_live`); `at=saved` reads the newest
    snapshot. The agent's home is read from snapshots only."""

    session_id: UUID
    run_id: UUID | None = None
    snapshot: UUID | None = None
    at: FilesState | None = None
    root: Root = "workspace"

    @property
    def may_be_live(self) -> bool:
        return self.snapshot is None and self.run_id is None and self.at != "saved" and self.root == "workspace"


class FileQuery(SnapshotQuery):
    path: Path


class DownloadQuery(FileQuery):
    """With `link`, a saved file that is an object of its own in the store is answered by a link to it (307), where the
    deployment gives such links (`S3_PUBLIC_ENDPOINT_URL`). All other files are sent as always.

    With `inline`, a file that begins with `%PDF-` is sent for the browser's own viewer, never as a link: as
    `application/pdf`, under a policy that runs nothing. Every other file stays an attachment."""

    link: bool = False
    inline: bool = False


class TreeQuery(Request):
    """A folder of a session; with `userId`, `/` lists the user's sessions and `/<sessionId>/...` goes into one."""

    session_id: UUID | None = None
    user_id: UUID | None = None
    run_id: UUID | None = None
    snapshot: UUID | None = None
    at: FilesState | None = None
    root: Root = "workspace"
    path: Path = ""
    cursor: Text | None = Field(default=None, max_length=2000)
    limit: int = Field(default=200, ge=1, le=1000)


class FileItemAnswer(Wire):
    """`size` in bytes of a file, `target` of a symbolic link, `title` of a session that is listed as a folder."""

    name: str
    path: str
    kind: FileKind
    size: int | None = None
    mtime: datetime
    mode: int | None = None
    target: str | None = None
    title: str | None = None


class NotLive(Wire):
    """Why a snapshot took over although the session has a worker."""

    code: str
    message: str


class SnapshotPart(Wire):
    """Which state the answer shows: `live`, or a snapshot and of which run; and as of when. `exact` is told where a run
    was named: false when the snapshot is not of the run's own end, as `exactNote` says."""

    state: FilesState = "saved"
    exact: bool | None = None
    exact_note: str | None = None
    not_live: NotLive | None = None
    snapshot_id: UUID | None = None
    run_id: UUID | None = None
    as_of: datetime


class TreeAnswer(SnapshotPart):
    """`hidden` counts the items of this page that file policies hide."""

    items: list[FileItemAnswer]
    hidden: int | None = None
    next_cursor: str | None = None


class ContentAnswer(SnapshotPart):
    """A file's beginning, at most 256 KiB. `cut`: the file has more. Images and PDF are shown by `downloadUrl`."""

    path: str
    name: str
    kind: PreviewKind
    mime_type: str
    size: int
    encoding: str | None = None
    line_ends: LineEnds | None = None
    text: str | None = None
    cut: bool
    download_url: str


class FolderQuery(SnapshotQuery):
    path: Path = ""


class SearchQuery(SnapshotQuery):
    """`q` is a part of the name, or with `in=text` of a line of the file, in any case."""

    in_: Literal["names", "text"] = Field(default="names", alias="in")
    q: Text = Field(min_length=1, max_length=200)
    limit: int = Field(default=100, ge=1, le=500)


class FoundFileAnswer(FileItemAnswer):
    """`matches`: the first lines of the file that hold the text."""

    matches: list[TextMatch] | None = None


class SearchAnswer(SnapshotPart):
    """`partial`: there may be more, beyond the limit, the bytes or the time of a search, or in files of over 1 MiB."""

    items: list[FoundFileAnswer]
    partial: bool


class DiffQuery(Request):
    """`from` and `to` are ids of runs or of snapshots. With `path`, both sides of that file."""

    session_id: UUID
    from_: UUID = Field(alias="from")
    to: UUID
    root: Root = "workspace"
    path: Path | None = None
    cursor: Text | None = Field(default=None, max_length=MOST_PATH)
    limit: int = Field(default=100, ge=1, le=500)


class ChangedFileAnswer(Wire):
    """`added` and `removed` count lines; without them the file is binary, long, or beyond the time for counting."""

    path: str
    change: FileChange
    added: int | None = None
    removed: int | None = None
    binary: bool | None = None


class DiffAnswer(Wire):
    """Changed files by path. Of one path also both sides, cut at 256 KiB (`cut`), and the unified diff. `exact` is
    false when a side is a run whose own end is not saved, as `exactNote` says."""

    from_snapshot: UUID
    to_snapshot: UUID
    exact: bool | None = None
    exact_note: str | None = None
    files: list[ChangedFileAnswer]
    next_cursor: str | None = None
    old: str | None = None
    new: str | None = None
    patch: str | None = None
    cut: bool | None = None


class UploadQuery(Request):
    """`name` is the file's name; a form's part has one of its own. Without both it is `file`."""

    name: Text | None = Field(default=None, min_length=1, max_length=1000)


class UploadAnswer(Wire):
    """`path` is below the workspace. `placed`: the workspace has the file by now; else it has it before the next
    run."""

    path: str
    size: int
    mime_type: str
    placed: bool


class PutBackBody(Request):
    """Make a file or folder of the workspace as a run or a snapshot has it. `whenMissing` decides about a path that
    this state lacks: `refuse`, or `remove` it from the workspace, which is how putting back a lost file is undone."""

    session_id: UUID
    run_id: UUID | None = None
    snapshot: UUID | None = None
    path: Path
    when_missing: Literal["refuse", "remove"] = "refuse"


class UndoPutBack(Wire):
    """The body that puts the state before back."""

    session_id: UUID
    snapshot: UUID
    path: str
    when_missing: Literal["refuse", "remove"] = "remove"


class PutBackAnswer(Wire):
    """`files` were written, `removed` were deleted. `snapshotId` has the new state, unless its save is still to
    come. `exact` is told where a run was named: false when its own end is not saved, as `exactNote` says."""

    files: int
    removed: int
    bytes: int
    exact: bool | None = None
    exact_note: str | None = None
    snapshot_id: UUID | None = None
    undo: UndoPutBack


AuditedAction = Literal[
    "tree", "content", "download", "zip", "diff", "search", "uploads", "restore", "policies", "export"
]


class AuditFilters(Request):
    """Calls about files. `q` is a part of the path in any case; `actor` a user's id."""

    q: Text | None = Field(default=None, min_length=1, max_length=200)
    actor: UUID | None = None
    session_id: UUID | None = None
    action: AuditedAction | None = None
    allowed: bool | None = None
    from_: Annotated[Moment | None, Field(alias="from")] = None
    to: Moment | None = None


class AuditQuery(AuditFilters, PageQuery):
    """A page of calls about files, newest first."""


class AuditExportQuery(AuditFilters):
    """Calls about files, as JSON Lines or CSV."""

    format: Literal["jsonl", "csv"] = "jsonl"


class FileAccessAnswer(Wire):
    """A call. `allowed`: the user may see the session; `reason` is `ok` or the code of the problem."""

    id: UUID
    at: datetime
    user_id: UUID | None = None
    user_name: str | None = None
    action: str
    session_id: UUID | None = None
    snapshot_id: UUID | None = None
    root: str | None = None
    path: str | None = None
    files: int | None = None
    bytes: int | None = None
    allowed: bool
    reason: str


class AuditAnswer(Wire):
    items: list[FileAccessAnswer]
    next_cursor: str | None = None
