"""Define a restore plan: the action for each path of a worker, and its reason.

handlers/workspaces/restore_plan.py makes it, the executor carries it out (RestoreWorkspace.plan), and
`POST /api/runs/restore-plan` shows it.

**How to read a plan.** A (root, path) occurs at most once in a plan, whatever the layer. `.` is the root itself and
always present. `Decisions` finds the entry that applies to a path: its own, or else the nearest one above it with an
action for a whole tree (`keep`, `restore`, `delete`). So a snapshot of 50,000 files is one entry with exceptions
beside it, and each path still has exactly one reason.

**The actions on disk.**
- `restore`: write the snapshot's content at and below this path. It replaces an existing path of any kind. Other
  existing paths stay.
- `keep`: change nothing at and below this path, and write none of the snapshot's content there.
- `delete`: delete everything at and below this path, except paths with an entry of their own.
- `write`: write exactly this file, with the bytes `contents[digest]` and `mode`. Missing parent folders are created
  (0755). With the reason `seed` it leaves an existing path alone. Otherwise it replaces a file or a link, and never
  follows a link; a folder at the path, or a link above it, is an error.
- `mkdir`: create exactly this folder (0755). Missing parent folders are created.
The executor applies entries by layer: first `delete`s (deepest first), then the rest. The order within a layer does
not matter.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.snapshot_manifest import path_bytes
from schema.wire import Wire
from schema.workspace_api import Root

Action = Literal["keep", "restore", "delete", "write", "mkdir"]
Layer = Literal["L0", "L1", "L2", "L3", "L4"]
ConflictPolicy = Literal["keep_session", "overwrite_with_seed", "fail"]
"""Resolve a path that both the session and a seed of the app have. The session's file stays (the default), or the
seed replaces it unless the path is protected, or the plan is refused (`seed_conflict`) when they differ."""

LAYERS: dict[Layer, str] = {
    "L0": "base_image",
    "L1": "app_seed",
    "L2": "session_snapshot",
    "L3": "agent_data",
    "L4": "runtime_fixups",
}
EntryReason = Literal[
    "in_place",
    "seed",
    "seed_wins",
    "session_snapshot",
    "agent_snapshot",
    "session_has_it",
    "same_as_seed",
    "protected",
    "in_the_way",
    "cleanup_rule",
    "mount_point",
]
REASONS: dict[EntryReason, str] = {
    "in_place": "the path exists in the worker, and nothing else asks for it",
    "seed": "a seed of the app, and the session has nothing at this path",
    "seed_wins": "a seed of the app, which replaces the session's file by the conflict policy",
    "session_snapshot": "part of the session's newest snapshot",
    "agent_snapshot": "part of the agent's home in the session's newest snapshot",
    "session_has_it": "a seed of the app, but the session's own file stays",
    "same_as_seed": "a seed of the app, and the session has the same file",
    "protected": "a seed or a cleanup rule names the path, but it is protected",
    "in_the_way": "a seed or mount point, but the session has another kind of file at or above the path",
    "cleanup_rule": "a cleanup rule of the app names the path, or a folder above it",
    "mount_point": "a mount point of the app that did not exist",
}
SPEAKS_FOR_TREE: frozenset[Action] = frozenset({"keep", "restore", "delete"})


class PlanEntry(Wire):
    """One path of a plan. `path` is relative to the root and spelt as in a snapshot's manifest (`path_text`).

    `write` has the last three fields: SHA-256 (hex) and length in bytes of the content, and the mode in octal.
    """

    root: Root
    path: str
    action: Action
    reason: EntryReason
    digest: str | None = None
    size: int | None = None
    mode: str | None = None


class PlanLayer(Wire):
    layer: Layer
    name: str
    entries: list[PlanEntry] = Field(default_factory=list)


class ShownPlan(Wire):
    """A plan as the API shows it: all five layers, in order."""

    conflict_policy: ConflictPolicy
    runtime_version: str | None = None
    snapshot_id: UUID | None = None
    layers: list[PlanLayer]

    def entries(self) -> list[PlanEntry]:
        return [entry for layer in self.layers for entry in layer.entries]


class RestorePlan(ShownPlan):
    """A plan as the executor receives it: `contents` holds the bytes (base64) of the files that it writes, by
    digest."""

    contents: dict[str, str] = Field(default_factory=dict, repr=False)

    def shown(self) -> ShownPlan:
        return ShownPlan.model_validate(self.model_dump(exclude={"contents"}))


class PlanOutcome(Wire):
    """A plan, or why there is none: `reason` is the code of a WorkspaceRefused, `detail` names the next step."""

    ok: bool
    plan: ShownPlan | None = None
    reason: str | None = None
    detail: str | None = None
    paths: list[str] = Field(default_factory=list)


class Decisions:
    """Find the entry of a plan that applies to a path."""

    def __init__(self, plan: ShownPlan) -> None:
        self._entries = {(entry.root, path_bytes(entry.path)): entry for entry in plan.entries()}

    def of(self, root: Root, path: bytes) -> PlanEntry:
        """Return the entry. `path` is relative and normal, in bytes; `b"."` is the root itself."""
        own = self._entries.get((root, path))
        if own is not None:
            return own
        above = path
        while above != b".":
            above = above.rpartition(b"/")[0] or b"."
            entry = self._entries.get((root, above))
            if entry is not None and entry.action in SPEAKS_FOR_TREE:
                return entry
        raise KeyError((root, path))  # every plan has an entry for each root
