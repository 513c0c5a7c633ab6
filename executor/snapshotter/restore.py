"""Restore a snapshot, and a plan's own files, into both roots.

Everything is fetched and verified first, then moved into place. When a step fails, both roots stay as they were.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from executor.set_aside_names import is_dropped
from executor.snapshotter.fetch import Fetch
from executor.snapshotter.ignore import STAGING
from executor.snapshotter.index import Stamp, stamp_of, write_index
from executor.snapshotter.paths import flush_file_system, free_bytes, is_there, open_root, opened, split
from executor.snapshotter.plan import TOP, RestoreSteps, Step, decide_entries, read_plan
from executor.snapshotter.protocol import ExecutorChannel, SnapshotterFailed
from executor.snapshotter.scan import is_covered, text_of
from executor.snapshotter.staging import Staging
from executor.snapshotter.transfer import get_object
from schema.object_keys import manifest_key
from schema.snapshot_manifest import (
    MAX_STORED_BYTES,
    Entry,
    File,
    Folder,
    HardLink,
    LargeFile,
    Manifest,
    manifest_digest,
    path_bytes,
    path_text,
    read_snapshot_manifest,
)

if TYPE_CHECKING:
    from schema.workspace_api import Root

MOST_REASONS = 10_000
TICK_NS = 20_000_000
"""Longer than the kernel's timestamp granularity, so that a later write gets another time."""


@dataclass(frozen=True, kw_only=True)
class RestoreOrder:
    """Say what to restore and where. `keep` and `drop` filter the home as a save does."""

    session_id: UUID
    snapshot_id: UUID | None
    manifest_digest: str | None
    plan: dict[str, Any]
    workspace: bytes
    home: bytes
    keep: list[str]
    drop: list[str]


@dataclass
class RootRestore:
    """One root during a restore: the `entries` to put there, and the paths (`overwritten`) that a seed replaces."""

    root: Root
    descriptor: int
    steps: dict[str, Step]
    staging: Staging
    entries: list[Entry] = field(default_factory=list)
    overwritten: set[str] = field(default_factory=set)


@dataclass
class RestoreReport:
    """Collect the receipt's counts by action, and the reason for each path that was not simply restored."""

    counts: dict[str, int] = field(default_factory=dict)
    reasons: list[dict[str, str]] = field(default_factory=list)

    def count(self, action: str) -> None:
        self.counts[action] = self.counts.get(action, 0) + 1

    def add_reason(self, root: Root, path: str, action: str, reason: str) -> None:
        if len(self.reasons) < MOST_REASONS:
            self.reasons.append({"root": root, "path": path, "action": action, "reason": reason})


@dataclass(frozen=True)
class Restored:
    """`receipt` is a RestoreReceipt in JSON. `index` is for the next save, None without a snapshot."""

    receipt: dict[str, Any]
    index: bytes | None


def restore(order: RestoreOrder, *, channel: ExecutorChannel) -> Restored:
    """Carry out the order. Raises SnapshotterFailed or a subclass."""
    began = time.monotonic()
    os.umask(0)  # the snapshot decides modes
    plan = read_plan(order.plan)
    manifest, digest = _manifest(order, channel)
    with _targets(order, plan) as targets:
        report = RestoreReport()
        for target in targets:
            _choose(order, target, manifest, report)
        try:
            _stage(order, plan, manifest, targets, channel)
            channel.progress("writing")
            _commit(targets, report)
        finally:
            for target in targets:
                target.staging.close()
        _finish_folders(targets)
        with ThreadPoolExecutor(1) as meanwhile:
            flushed = meanwhile.map(flush_file_system, [target.descriptor for target in targets])
            index = _index(manifest, digest, targets) if manifest else None
            list(flushed)  # raises a flush's error
    return Restored(_receipt(order, digest, targets, report, began), index)


def _manifest(order: RestoreOrder, channel: ExecutorChannel) -> tuple[Manifest | None, str | None]:
    if order.snapshot_id is None:
        return None, None
    key = manifest_key(order.session_id, order.snapshot_id)
    channel.progress("downloading")
    data = get_object(channel, key, limit=MAX_STORED_BYTES, digest=order.manifest_digest)
    manifest = read_snapshot_manifest(data, session_id=order.session_id, snapshot_id=order.snapshot_id)
    return manifest, manifest_digest(data)


@contextmanager
def _targets(order: RestoreOrder, plan: RestoreSteps) -> Iterator[list[RootRestore]]:
    targets: list[RootRestore] = []
    try:
        roots: list[tuple[Root, bytes]] = [("workspace", order.workspace), ("agent", order.home)]
        for root, path in roots:
            descriptor = open_root(path)
            targets.append(RootRestore(root, descriptor, plan.steps(root), Staging(descriptor)))
        yield targets
    finally:
        for target in targets:
            os.close(target.descriptor)


def _choose(order: RestoreOrder, target: RootRestore, manifest: Manifest | None, report: RestoreReport) -> None:
    """Choose which of the snapshot's entries are restored, and count the plan's other steps."""
    kept, dropped = frozenset(order.keep), frozenset(order.drop)
    target.steps = {path: _keep_existing(target, step) for path, step in target.steps.items()}
    for entry, action in decide_entries(manifest, target.root, target.steps) if manifest else ():
        report.count("restore" if action == "restore" else "keep")
        if action == "write":
            target.overwritten.add(entry.path)
        if action != "restore":
            continue
        is_reserved = entry.path.partition("/")[0] == STAGING
        if is_reserved or (target.root == "agent" and not _belongs(entry, kept, dropped)):
            report.counts["restore"] -= 1
            report.add_reason(target.root, entry.path, "skip", "reserved" if is_reserved else "not_kept")
            continue
        target.entries.append(entry)
    if manifest is not None:
        target.entries = _with_own_bytes(target.entries, manifest.entries(target.root))
    for step in target.steps.values():
        if step.action != "restore":
            report.count(step.action)
            report.add_reason(target.root, step.path, step.action, step.reason)


def _keep_existing(target: RootRestore, step: Step) -> Step:
    """Turn a seed into "keep" when its path already exists: a step with the reason `seed` replaces no file."""
    if step.action != "write" or step.reason != "seed" or not is_there(target.descriptor, step.location):
        return step
    return replace(step, action="keep", reason="session_has_it")


def _belongs(entry: Entry, kept: frozenset[str], dropped: frozenset[str]) -> bool:
    """Tell whether the entry belongs to the saved part of the home. Folders on the way belong too."""
    path = os.fsdecode(path_bytes(entry.path))
    return not is_dropped(path, dropped) and (isinstance(entry, Folder) or is_covered(path, kept))


def _with_own_bytes(chosen: list[Entry], all_: list[Entry]) -> list[Entry]:
    """Turn hard links whose target is not restored into files of their own."""
    there = {entry.path for entry in chosen if isinstance(entry, File | LargeFile)}
    if all(entry.target in there for entry in chosen if isinstance(entry, HardLink)):
        return chosen
    files = {entry.path: entry for entry in all_ if isinstance(entry, File | LargeFile)}
    return [
        replace(files[entry.target], path=entry.path)
        if isinstance(entry, HardLink) and entry.target not in there
        else entry
        for entry in chosen
    ]


def _stage(
    order: RestoreOrder,
    plan: RestoreSteps,
    manifest: Manifest | None,
    targets: list[RootRestore],
    channel: ExecutorChannel,
) -> None:
    for target in targets:
        for step in target.steps.values():
            if step.action == "mkdir" and step.path != TOP:
                target.staging.make_folder(step.location)
            elif step.action == "write":
                mode, over_folder = int(step.mode or "644", 8), step.path in target.overwritten
                target.staging.write(step.location, plan.content(step), mode=mode, over_folder=over_folder)
            elif step.reason == "in_place" and step.path != TOP:  # steps with other reasons may name missing paths
                target.staging.protect(step.location)
    if manifest is not None:
        fetch = Fetch(manifest, session_id=order.session_id, channel=channel)
        for target in targets:
            fetch.add(target.staging, target.entries)
        _check_space(targets, fetch.bytes_to_write)
        fetch.run()


def _check_space(targets: list[RootRestore], needed: int) -> None:
    """Refuse a restore that would fill the disk, before anything is changed."""
    free = min(free_bytes(target.descriptor) for target in targets)
    if needed > free:
        raise SnapshotterFailed(
            f"The disk has {free} bytes left and the snapshot needs {needed}. Nothing was changed.", code="disk_full"
        )


def _commit(targets: list[RootRestore], report: RestoreReport) -> None:
    """Move every root into place, or none."""
    try:
        for target in targets:
            _delete(target, report)
            target.staging.commit()
    except BaseException:
        for target in reversed(targets):
            target.staging.roll_back()
        raise


def _delete(target: RootRestore, report: RestoreReport) -> None:
    """Delete the plan's marked paths, except paths below them that have a step of their own."""
    spared = {step.location for step in target.steps.values() if step.action != "delete"}
    above_spared = {b"/".join(path.split(b"/")[:count]) for path in spared for count in range(path.count(b"/") + 1)}
    marked = [step.location for step in target.steps.values() if step.action == "delete"]
    for path in sorted(marked, key=lambda path: -path.count(b"/")):
        waiting = [path] if path else _below(target.descriptor, b"")
        while waiting:
            candidate = waiting.pop()
            if candidate in spared:
                continue
            if candidate in above_spared:
                waiting.extend(_below(target.descriptor, candidate))
                continue
            try:
                target.staging.set_aside(candidate)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno != errno.ELOOP:  # a link above the path: the path does not exist
                    raise
                report.add_reason(target.root, text_of(os.fsdecode(candidate)), "skip", "behind_a_link")


def _below(root: int, folder: bytes) -> list[bytes]:
    try:
        with opened(root, folder) as at:
            names = [os.fsencode(name) for name in os.listdir(at)]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return []
        raise
    return [folder + b"/" + name if folder else name for name in names if folder or name != STAGING.encode()]


def _finish_folders(targets: list[RootRestore]) -> None:
    """Set modes and times of folders, the deepest first, after everything in them is in place."""
    for target in targets:
        for entry in reversed(target.entries):
            if isinstance(entry, Folder):
                with opened(target.descriptor, path_bytes(entry.path)) as folder:
                    os.fchmod(folder, entry.mode)
                    os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))


def _index(manifest: Manifest, digest: str | None, targets: list[RootRestore]) -> bytes:
    """Build the index as a save would have: every file was verified, and no agent works yet."""
    stamps: dict[Root, dict[str, Stamp]] = {target.root: _stamps(target) for target in targets}
    newest = max((ctime_ns for of_root in stamps.values() for ctime_ns, _ in of_root.values()), default=0)
    while time.time_ns() <= newest + TICK_NS:
        time.sleep(TICK_NS / 1e9)
    return write_index(manifest, digest=digest or "", stamps=stamps, trusted_before_ns=time.time_ns())


def _stamps(target: RootRestore) -> dict[str, Stamp]:
    """Return the stamps of restored files. Files that were moved or linked one by one are looked at again."""
    stamps = target.staging.stamps
    for path in target.staging.touched:
        folder, name = split(path)
        text = path_text(path)
        if text in stamps:
            with opened(target.descriptor, folder) as at:
                stamps[text] = stamp_of(os.stat(name, dir_fd=at, follow_symlinks=False))
    return stamps


def _receipt(
    order: RestoreOrder, digest: str | None, targets: list[RootRestore], report: RestoreReport, began: float
) -> dict[str, Any]:
    files = [entry for target in targets for entry in target.entries if not isinstance(entry, Folder)]
    return {
        **({} if order.snapshot_id is None else {"snapshotId": str(order.snapshot_id)}),
        "files": len(files),
        "bytes": sum(entry.size for entry in files if isinstance(entry, File | LargeFile)),
        "counts": report.counts,
        "reasons": report.reasons,
        **({} if digest is None else {"manifestDigest": digest}),
        "seconds": round(time.monotonic() - began, 3),
    }
