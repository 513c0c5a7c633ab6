"""Define the executor's contract for saving and restoring a workspace, shared by its service and the client in jobs/.

Save and restore are operations: a caller starts one, polls it until it ends, and supplies links on demand. An executor
holds no credentials of the object store: the control plane signs a short-lived link for each object by name.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.wire import Json, Request, Text, Wire

Root = Literal["workspace", "agent"]
SyncReason = Literal["message", "run", "stop", "remove", "requested", "dirty"]
UNREADABLE_NAMED = 3


class SyncWorkspace(Request):
    """`POST /workspace/sync`: save the current workspace as `snapshot_id`.

    `head` is the newest committed snapshot, and the only one whose objects may be reused; `head_digest` is its
    manifest's digest. `at_rest`: the session is quiesced, so the agent's home is scanned too (409 `run_live` when an
    agent lives). Otherwise the home's entries are copied from `head`. `ignore` holds patterns as in a .gitignore file,
    for the workspace.

    Also 409: `busy` with `operationId` while another operation runs, and `workspace_not_ready` after a failed restore.
    The same `snapshot_id` again is the same operation. A new save cancels one that waits for links and was not polled
    for some seconds.
    """

    session_id: UUID
    epoch: int = Field(ge=1)
    snapshot_id: UUID
    run_id: UUID | None = None
    reason: SyncReason
    head: UUID | None = None
    head_digest: str | None = None
    at_rest: bool
    ignore: list[Text] = Field(default_factory=list, max_length=1000)


class SyncQuery(Wire):
    """Query of `POST /workspace/sync`. With `takesEnds` the save is that of the oldest run whose end the executor kept
    apart and no snapshot holds yet; without any, or without the flag, that of the present state.

    `saved_end` is the last ended run whose end the newest snapshot holds: that end needs no keeping any more.
    `head_lost`: there is a newest snapshot, but the store lost objects of it, so the save may not build on any.
    """

    takes_ends: bool = False
    saved_end: UUID | None = None
    head_lost: bool = False


class RestoreWorkspace(Request):
    """`POST /workspace/restore`: carry out `plan` in the session's workspace (schema/restore_plan.py).

    A second call in the same epoch returns the finished restore's receipt and writes nothing.
    """

    session_id: UUID
    epoch: int = Field(ge=1)
    snapshot_id: UUID | None = None
    manifest_digest: str | None = None
    plan: Json


class PutBackWorkspace(Request):
    """`POST /workspace/put-back`: change paths of a quiesced workspace as `plan` says, from an older snapshot.

    `emptied` are folders, the deepest first, that go when nothing is left in them. 409 `run_live` while an agent lives;
    no run begins meanwhile (409 `busy`).
    """

    session_id: UUID
    epoch: int = Field(ge=1)
    snapshot_id: UUID
    manifest_digest: str
    plan: Json
    emptied: list[Text] = Field(default_factory=list)


class WaitForOperation(Request):
    """Query of `GET /workspace/operations/{id}`: seconds."""

    wait: float = Field(default=0, ge=0, le=60)


class Want(Wire):
    """A link that an operation waits for. `size` in bytes is that of the upload, or of the expected download.

    `md5` of an upload is that of its bytes, in base64. An older executor omits it.
    """

    method: Literal["GET", "PUT"]
    key: Text
    size: int | None = None
    md5: str | None = None


class Links(Request):
    """`POST /workspace/operations/{id}/links`: `{"<method> <key>": address}`. Unwanted links are ignored.

    An address is a secret while it works, and is never logged. An upload sends the headers that it names as signed
    (schema/upload_headers.py). 412: the object exists. The caller then compares it with the upload that was announced.
    """

    links: dict[Text, Text] = Field(repr=False, max_length=1000)


class Progress(Wire):
    """An operation's progress. Totals are set once they are known."""

    step: Literal["waiting", "scanning", "uploading", "downloading", "writing", "done"]
    files: int = 0
    files_total: int | None = None
    bytes: int = 0
    bytes_total: int | None = None


LEFT_OUT_OF_HOME = "secret_left_out"
FOUND_IN_FILE = "holds_secret"
OF_SECRETS = frozenset({LEFT_OUT_OF_HOME, FOUND_IN_FILE})
"""The reasons of a path that holds a secret value."""


class Skipped(Wire):
    """A path that is not in a snapshot. `path` is spelt as in manifests.

    Reasons: `socket`, `device`, `fifo`, `unreadable`, `too_long`, `reserved` (a name that restores use),
    `secret_left_out` (a file of the home that holds a known secret value, or belongs to a database with one). Two
    reasons name files that are in the snapshot: a `changing` file as it was last read, while a process was writing it,
    and a file of the workspace that `holds_secret`, which is told when the file is read.
    """

    root: Root
    path: str
    reason: str


class SyncReceipt(Wire):
    """The result of a save. `objects` are all that the snapshot needs, its manifest last; `uploaded` are the new ones.

    `unchanged`: nothing differs from `head`, so nothing was uploaded and there is no new snapshot. `unreadable` counts
    skipped files that could not be read; the snapshot holds their last saved state, if any. `run_id` is set when the
    save holds this run's end, which was kept apart before a later run began.
    """

    snapshot_id: UUID
    run_id: UUID | None = None
    unchanged: bool = False
    files: int
    bytes: int
    changed: int
    objects: list[str]
    object_sizes: dict[str, int]
    uploaded: list[str]
    uploaded_bytes: int
    manifest_digest: str
    skipped: list[Skipped] = Field(default_factory=list)
    skipped_total: int = 0
    unreadable: int = 0
    seconds: float

    @property
    def failure(self) -> str | None:
        """A sentence that names unreadable files, or None when everything is saved."""
        if not self.unreadable:
            return None
        paths = [skip.path for skip in self.skipped if skip.reason == "unreadable"][:UNREADABLE_NAMED]
        rest = self.unreadable - len(paths)
        named = [*map(repr, paths), *([f"{rest} more"] if rest else [])]
        return f"Everything else is saved, but these files cannot be read: {', '.join(named)}."


class RestoreReceipt(Wire):
    """The result of a restore: counts by action, and a reason for each path that was not simply written."""

    snapshot_id: UUID | None = None
    files: int
    bytes: int
    counts: dict[str, int]
    reasons: list[Json] = Field(default_factory=list)
    manifest_digest: str | None = None
    seconds: float


class OperationState(Wire):
    """`GET /workspace/operations/{id}?wait=S`: answers at once when the operation has ended or wants links.

    Otherwise it answers after at most S seconds. An unknown id is 404: the executor restarted, so start the operation
    again.
    """

    operation_id: UUID
    kind: Literal["sync", "restore", "put_back"]
    state: Literal["running", "succeeded", "failed"]
    progress: Progress
    wants: list[Want] = Field(default_factory=list)
    sync: SyncReceipt | None = None
    restore: RestoreReceipt | None = None
    code: str | None = None
    error: str | None = None
