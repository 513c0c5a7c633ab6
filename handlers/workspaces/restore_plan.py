"""Plan the contents of a session worker's two roots from the app's seeds, the session's snapshot and existing files.

`make_plan` is pure. The dry run (`POST /api/runs/restore-plan`) and the restore both call it, so a restore does what
the dry run shows. Later layers win: L0 existing files, L1 seeds, L2 and L3 the session's snapshot, L4 cleanup and
mount points. Only a conflict policy lets a seed win over the session; L1 and L4 never touch protected paths.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import get_args
from uuid import UUID

from handlers.workspaces.tree import LeadsOutside, Tree, TreeEntry, above, is_at_or_below, rule_pattern
from schema.errors import PathOutsideWorkspace, RequiredPathsMissing, RuntimeVersionMismatch, SeedConflict
from schema.paths import ROOTS, TOP, absolute
from schema.restore_plan import LAYERS, Action, ConflictPolicy, EntryReason, Layer, PlanEntry, PlanLayer, RestorePlan
from schema.runtime_manifest import RuntimeManifest, SeedFile
from schema.snapshot_manifest import path_text
from schema.workspace_api import Root

NAMED = 5
"""The maximum of paths in a sentence; `paths` holds all."""


@dataclass(frozen=True)
class Snapshot:
    """The session's newest snapshot."""

    id: UUID
    entries: Iterable[TreeEntry] = field(repr=False)


def make_plan(
    manifest: RuntimeManifest,
    *,
    runtime_version: str | None,
    snapshot: Snapshot | None,
    existing: Iterable[TreeEntry] | None,
    conflict_policy: ConflictPolicy = "keep_session",
) -> RestorePlan:
    """Return the plan, the same for the same input.

    `runtime_version` is the executor's; None when unknown, and then it is not compared. `existing` are the worker's
    files; None when unknown, and then the worker checks required paths after the restore (jobs/workspaces/validate.py).
    Raises RuntimeVersionMismatch, PathOutsideWorkspace, SeedConflict (policy `fail`), and RequiredPathsMissing.
    """
    _check_version(manifest, runtime_version)
    entries = list(existing or ())
    saved = None if snapshot is None else list(snapshot.entries)
    roots = [_Root(root, manifest, saved=saved, existing=entries, policy=conflict_policy) for root in ROOTS]
    for root in roots:
        root.plan()
    _refuse(roots, conflict_policy, is_complete=existing is not None)
    return RestorePlan(
        conflict_policy=conflict_policy,
        runtime_version=manifest.runtime_version,
        snapshot_id=None if snapshot is None else snapshot.id,
        layers=[_layer(layer, roots) for layer in get_args(Layer)],
        contents=_contents(manifest, roots),
    )


class _Root:
    """The plan of one root in the making: `decided` holds each path's entry and the layer that decided it."""

    def __init__(
        self,
        root: Root,
        manifest: RuntimeManifest,
        *,
        saved: list[TreeEntry] | None,
        existing: list[TreeEntry],
        policy: ConflictPolicy,
    ) -> None:
        self.root = root
        self.policy = policy
        self.seeds = [seed for seed in manifest.seed_files if seed.root == root]
        self.mounts = [mount.path for mount in manifest.mount_points if mount.root == root]
        self.rules = [rule.path for rule in manifest.cleanup_rules if rule.root == root]
        self.required = [path.path for path in manifest.required_paths if path.root == root]
        self.protected = frozenset(path.path for path in manifest.protected_paths if path.root == root)
        self.saved = None if saved is None else Tree(root, saved)
        self.existing = Tree(root, existing)
        self.now = self.existing if self.saved is None else self.existing.overlaid(self.saved)
        self.decided: dict[str, tuple[Layer, PlanEntry]] = {}
        self.outside: list[str] = []
        self.conflicts: list[str] = []
        self.missing: list[str] = []

    def plan(self) -> None:
        self._keep_existing()
        written = [seed for seed in self.seeds if self._seed(seed)]
        self.now = self.now.overlaid(Tree(self.root, (TreeEntry(self.root, seed.path, "file") for seed in written)))
        made = [mount for mount in self.mounts if self._mount(mount)]
        for mount in made:
            self.now.put(TreeEntry(self.root, mount, "folder"))
        self._clean_up()
        self._require()

    def _decide(
        self, path: str, layer: Layer, action: Action, reason: EntryReason, seed: SeedFile | None = None
    ) -> None:
        entry = PlanEntry(root=self.root, path=_text(path), action=action, reason=reason)
        if seed is not None:
            content = {"digest": _digest(seed.data), "size": len(seed.data), "mode": seed.mode}
            entry = entry.model_copy(update=content)
        self.decided[path] = layer, entry

    def _keep_existing(self) -> None:
        if self.saved is None:
            self._decide(TOP, "L0", "keep", "in_place")
            return
        of_root: Mapping[Root, tuple[Layer, EntryReason]] = {
            "workspace": ("L2", "session_snapshot"),
            "agent": ("L3", "agent_snapshot"),
        }
        layer, reason = of_root[self.root]
        self._decide(TOP, layer, "restore", reason)
        only_here = self.now.things.keys() - self.saved.things.keys()
        for path in only_here:
            if not any(folder in only_here for folder in above(path)):
                self._decide(path, "L0", "keep", "in_place")

    def _stays(self, path: str, layer: Layer, reason: EntryReason) -> None:
        """Keep the session's entry at the path, or its absence."""
        is_saved = self.saved is not None and path in self.saved.things
        self._decide(path, layer, "restore" if is_saved else "keep", reason)

    def _seed(self, seed: SeedFile) -> bool:
        """Decide about a seed; return whether the plan writes it."""
        path, there = seed.path, self.now.things.get(seed.path)
        is_guarded = is_at_or_below(path, self.protected) or any(path in above(guarded) for guarded in self.protected)
        if is_guarded:
            self._stays(path, "L1", "protected")
            return False
        if self._is_blocked(path) or (there is not None and there.kind == "folder"):
            self._stays(path, "L1", "in_the_way")
            self.conflicts.append(path)
            return False
        if there is None:
            self._decide(path, "L1", "write", "seed", seed)
            return True
        return self._seed_over(seed, there)

    def _seed_over(self, seed: SeedFile, there: TreeEntry) -> bool:
        if there.kind == "file" and there.digest == _digest(seed.data):
            self._stays(seed.path, "L1", "same_as_seed")
            return False
        if self.policy == "overwrite_with_seed":
            self._decide(seed.path, "L1", "write", "seed_wins", seed)
            return True
        self._stays(seed.path, "L1", "session_has_it")
        self.conflicts.append(seed.path)
        return False

    def _is_blocked(self, path: str) -> bool:
        """Return whether an entry above the path is not a folder. Plans write through no link and refuse links out."""
        obstacle = self.now.obstacle(path)
        if obstacle is not None and obstacle.kind == "symlink" and self.now.leads_outside(obstacle.path):
            self.outside.append(path)
        return obstacle is not None

    def _mount(self, path: str) -> bool:
        """Decide about a mount point; return whether the plan makes it."""
        there = self.now.things.get(path)
        if there is not None and there.kind == "folder":
            return False
        if there is not None and there.kind == "symlink" and self.now.leads_outside(path):
            self.outside.append(path)
        if self._is_blocked(path) or there is not None:
            self._stays(path, "L4", "in_the_way")
            return False
        self._decide(path, "L4", "mkdir", "mount_point")
        return True

    def _clean_up(self) -> None:
        """Delete paths that the rules name, as complete trees where nothing below has to stay."""
        guarded = self.protected | set(self.mounts)
        held = {folder for path in guarded for folder in above(path)}
        is_named = rule_pattern(self.rules).fullmatch if self.rules else None
        if is_named is None:
            return
        deleted: set[str] = set()
        for path in sorted(self.now.things):  # a folder comes before what is in it
            if any(folder in deleted for folder in above(path)) or not is_named(path):
                continue
            if path in self.protected and path not in self.decided:
                self._stays(path, "L4", "protected")
            elif path not in held and not is_at_or_below(path, guarded):
                deleted.add(path)
        self.decided = {
            path: decided
            for path, decided in self.decided.items()
            if not any(folder in deleted for folder in above(path))
        }
        for path in deleted:
            self._decide(path, "L4", "delete", "cleanup_rule")
        self.now = self.now.without(deleted)

    def _require(self) -> None:
        for path in self.required:
            try:
                if not self.now.has(path):
                    self.missing.append(path)
            except LeadsOutside:
                self.outside.append(path)


def _check_version(manifest: RuntimeManifest, runtime_version: str | None) -> None:
    if runtime_version in (None, manifest.runtime_version) or manifest.runtime_version is None:
        return
    raise RuntimeVersionMismatch(mismatch_detail(manifest.runtime_version, runtime_version or ""))


def mismatch_detail(wanted: str, version: str) -> str:
    return (
        f"The app is made for runtime version {wanted}, and the executor is {version}. "
        "Use an executor of that version, or change `runtimeVersion` in the app's manifest."
    )


def _refuse(roots: list[_Root], policy: ConflictPolicy, *, is_complete: bool) -> None:
    outside = _all(roots, "outside")
    if outside:
        raise PathOutsideWorkspace(
            f"A link leads out of the worker's folders on the way to {named(outside)}. "
            "Replace the link by a folder, or take the path out of the app's manifest.",
            paths=outside,
        )
    conflicts = _all(roots, "conflicts")
    if conflicts and policy == "fail":
        raise SeedConflict(
            f"The session has its own {named(conflicts)}, and the conflict policy is `fail`. "
            "Use `keep_session` or `overwrite_with_seed`.",
            paths=conflicts,
        )
    missing = _all(roots, "missing")
    if missing and is_complete:
        raise RequiredPathsMissing(missing_detail(missing), paths=missing)


def missing_detail(paths: list[str]) -> str:
    """Return the fault and its remedy; paths are absolute."""
    return (
        f"The workspace lacks what the app requires: {named(paths)}. Have the app bring it as a seed file, put it "
        "there, or take it out of `requiredPaths` in the app's manifest. Seeds that were deleted come back when the "
        "worker is removed and made anew."
    )


def _all(roots: list[_Root], what: str) -> list[str]:
    return sorted({absolute(root.root, path) for root in roots for path in getattr(root, what)})


def named(paths: list[str]) -> str:
    """List the first few paths, for a sentence."""
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more


def _layer(layer: Layer, roots: list[_Root]) -> PlanLayer:
    entries = [entry for root in roots for _path, (of, entry) in sorted(root.decided.items()) if of == layer]
    return PlanLayer(layer=layer, name=LAYERS[layer], entries=entries)


def _contents(manifest: RuntimeManifest, roots: list[_Root]) -> dict[str, str]:
    wanted = {entry.digest for root in roots for _, entry in root.decided.values()}
    contents = {_digest(seed.data): seed.data for seed in manifest.seed_files}
    return {digest: base64.b64encode(data).decode() for digest, data in sorted(contents.items()) if digest in wanted}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _text(path: str) -> str:
    return path_text(path.encode("utf-8", "surrogateescape"))
