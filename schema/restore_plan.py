"""A restore plan: for each path of a worker what is done there and why. Made by handlers/workspaces/restore_plan.py,
carried out
by the executor (RestoreWorkspace.plan), shown by `POST /api/runs/restore-plan`.

**How to read one.** A (root, path) stands at most once in a plan, whatever the layer; `.` is the root itself and always
there. What holds for any path is said by `Decisions`: its own entry, or else the nearest entry above it that speaks for
a whole tree (`keep`, `restore`, `delete`). So a snapshot of 50,000 files is one entry, with the exceptions beside it,
and each path still has exactly one reason.

**What the actions mean on disk.**
- `restore`: put there what the snapshot has at and below this path. It replaces what it finds at the same path, of
  whatever kind; what it finds that the snapshot does not have stays.
- `keep`: change nothing at and below this path; what the snapshot has there is not written.
- `delete`: nothing is left at and below this path, except what an entry below it says.
- `write`: exactly this file, with the bytes `contents[digest]` and `mode`, for this path alone. Missing folders above
  it are made (0755). With reason `seed` only if nothing is there: what nobody knew of stays. Otherwise it replaces a
  file or a link, and never follows one; a folder in its place, or a link above it, is an error.
- `mkdir`: exactly this folder (0755), for this path alone. Missing folders above it are made.
Entries are carried out by layer, first `delete`s (deepest first), then the rest; no order within a layer matters.
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
"""What holds where the session and a seed of the app both have something: the session's stays (the default); the
seed's replaces it, protected paths excepted; or the plan is refused (`seed_conflict`) if they differ."""

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
    "in_place": "it is in the worker already, and nothing else asks for this path",
    "seed": "a seed of the app, and the session has nothing there",
    "seed_wins": "a seed of the app, which replaces what the session has, as the conflict policy says",
    "session_snapshot": "part of the session's newest snapshot",
    "agent_snapshot": "part of the agent's home in the session's newest snapshot",
    "session_has_it": "a seed of the app, but the session has its own, which stays",
    "same_as_seed": "a seed of the app, and the session has the very same",
    "protected": "a seed, or a cleanup rule, names it, but the path is protected",
    "in_the_way": "a seed or mount point, but the session has something of another kind there or above it",
    "cleanup_rule": "a cleanup rule of the app names it, or a folder above it",
    "mount_point": "a mount point of the app that was not there",
}
SPEAKS_FOR_TREE: frozenset[Action] = frozenset({"keep", "restore", "delete"})


class PlanEntry(Wire):
    """`path` is relative to the root and spelt as in a snapshot's manifest (`path_text`). The last three are there for
    `write`: SHA-256 (hex) and length in bytes of the content, and the mode in octal."""

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
    """All five layers, in order."""

    conflict_policy: ConflictPolicy
    runtime_version: str | None = None
    snapshot_id: UUID | None = None
    layers: list[PlanLayer]

    def entries(self) -> list[PlanEntry]:
        return [entry for layer in self.layers for entry in layer.entries]


class RestorePlan(ShownPlan):
    """As it is carried out: `contents` holds the bytes (base64) of the files that it writes, by their digest."""

    contents: dict[str, str] = Field(default_factory=dict, repr=False)

    def shown(self) -> ShownPlan:
        return ShownPlan.model_validate(self.model_dump(exclude={"contents"}))


class PlanOutcome(Wire):
    """A plan, or why there is none: `reason` is the code of a WorkspaceRefused, `detail` says what to do."""

    ok: bool
    plan: ShownPlan | None = None
    reason: str | None = None
    detail: str | None = None
    paths: list[str] = Field(default_factory=list)


class Decisions:
    """Says for any path which entry of a plan holds for it."""

    def __init__(self, plan: ShownPlan) -> None:
        self._entries = {(entry.root, path_bytes(entry.path)): entry for entry in plan.entries()}

    def of(self, root: Root, path: bytes) -> PlanEntry:
        """`path` is relative and normal, as the system knows it; `b"."` for the root itself."""
        own = self._entries.get((root, path))
        if own is not None:
            return own
        above = path
        while above != b".":
            above = above.rpartition(b"/")[0] or b"."
            found = self._entries.get((root, above))
            if found is not None and found.action in SPEAKS_FOR_TREE:
                return found
        raise KeyError((root, path))  # every plan has an entry for each root
