"""The executor's contract for saving and restoring a workspace, shared by its service and the client in jobs/.

Both are operations: started, asked about until they end, and given links when they want some. An executor holds no
credentials of the object store: the control plane signs, for each object by name, a link that works for a short time.
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
    """`POST /workspace/sync`: save what is there now as `snapshot_id`.

    `head` is the newest snapshot that the control plane has committed: only its objects may be counted on;
    `head_digest` that of its manifest. `at_rest`: no agent lives, so that its home is scanned too (409 `run_live` when
    one does); otherwise the home's entries are those of `head`. `ignore` are patterns as in a .gitignore file, matched
    in the workspace.

    Also 409: `busy` with `operationId` while another operation goes on (the same `snapshot_id` again is the same
    operation; one that waits for links about which nobody has asked for some seconds gives way), and
    `workspace_not_ready` after a restore that has failed.
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


class RestoreWorkspace(Request):
    """`POST /workspace/restore`: make the place of a session what `plan` says (handlers/workspaces/restore_plan.py).

    The same epoch again, when that restore is done, answers with its receipt and writes nothing.
    """

    session_id: UUID
    epoch: int = Field(ge=1)
    snapshot_id: UUID | None = None
    manifest_digest: str | None = None
    plan: Json


class WaitForOperation(Request):
    """Query of `GET /workspace/operations/{id}`: seconds."""

    wait: float = Field(default=0, ge=0, le=60)


class Want(Wire):
    """A link that an operation waits for. `size` in bytes, of what will be put or is expected."""

    method: Literal["GET", "PUT"]
    key: Text
    size: int | None = None


class Links(Request):
    """`POST /workspace/operations/{id}/links`: `{"<method> <key>": address}`; what is not wanted any more is passed
    over. An address is a secret while it works, and never logged."""

    links: dict[Text, Text] = Field(repr=False, max_length=1000)


class Progress(Wire):
    """How far an operation is. Totals are there once they are known."""

    step: Literal["waiting", "scanning", "uploading", "downloading", "writing", "done"]
    files: int = 0
    files_total: int | None = None
    bytes: int = 0
    bytes_total: int | None = None


class Skipped(Wire):
    """Something that is not in a snapshot, and why: `socket`, `device`, `fifo`, `unreadable`, `too_long`, `reserved` (a
    name that restores use). What is called `changing` is there as it was last read, while somebody was writing it.
    `path` as in manifests."""

    root: Root
    path: str
    reason: str


class SyncReceipt(Wire):
    """What a save came to. `objects` are all that the snapshot needs, its manifest last; `uploaded` those that were
    new. `unchanged`: nothing differs from `head`, so nothing was uploaded and there is no new snapshot. `unreadable`
    counts what of `skipped` is so: files that the snapshot has as they were last read, if at all."""

    snapshot_id: UUID
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
        """Why all is not saved, as a sentence."""
        if not self.unreadable:
            return None
        paths = [each.path for each in self.skipped if each.reason == "unreadable"][:UNREADABLE_NAMED]
        rest = self.unreadable - len(paths)
        named = [*map(repr, paths), *([f"{rest} more"] if rest else [])]
        return f"Everything else is saved, but this cannot be read: {', '.join(named)}."


class RestoreReceipt(Wire):
    """What a restore came to: counts by action, and for each path that was not simply written its reason."""

    snapshot_id: UUID | None = None
    files: int
    bytes: int
    counts: dict[str, int]
    reasons: list[Json] = Field(default_factory=list)
    manifest_digest: str | None = None
    seconds: float


class OperationState(Wire):
    """`GET /workspace/operations/{id}?wait=S`: answers at once when it has ended or wants links, else after at most S
    seconds. An unknown id is 404: the executor was restarted, and the operation is to be asked for again."""

    operation_id: UUID
    kind: Literal["sync", "restore"]
    state: Literal["running", "succeeded", "failed"]
    progress: Progress
    wants: list[Want] = Field(default_factory=list)
    sync: SyncReceipt | None = None
    restore: RestoreReceipt | None = None
    code: str | None = None
    error: str | None = None
