"""Puts a snapshot, and what a plan adds to it, into both roots: all of it is fetched and proven first, then moved into
place, so that what was there stays as it was when anything goes wrong."""

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

from executor.snapshotter.fetch import Fetch
from executor.snapshotter.ignore import STAGING
from executor.snapshotter.index import Stamp, stamp_of, write_index
from executor.snapshotter.paths import flush_file_system, is_there, open_root, opened, split
from executor.snapshotter.plan import TOP, RestoreSteps, Step, decided, read_plan
from executor.snapshotter.protocol import EngineFailed, ExecutorChannel
from executor.snapshotter.scan import is_kept, text_of
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
    read_manifest,
)

if TYPE_CHECKING:
    from schema.workspace_api import Root

REASONS_TOLD = 10_000
TICK_NS = 20_000_000
"""Longer than the kernel takes to give another time to what is written later."""


@dataclass(frozen=True, kw_only=True)
class RestoreOrder:
    """What to restore, and where. `keep` and `drop` as for a save: a snapshot brings nothing else into the home."""

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
    """One root while it is restored. `entries` are those of the snapshot that are put there, `overwritten` the paths of
    those that a seed takes the place of."""

    root: Root
    descriptor: int
    steps: dict[str, Step]
    staging: Staging
    entries: list[Entry] = field(default_factory=list)
    overwritten: set[str] = field(default_factory=set)


@dataclass
class RestoreReport:
    """For the receipt: paths by action, and each that was not simply restored, with its reason."""

    counts: dict[str, int] = field(default_factory=dict)
    reasons: list[dict[str, str]] = field(default_factory=list)

    def count(self, action: str) -> None:
        self.counts[action] = self.counts.get(action, 0) + 1

    def say(self, root: Root, path: str, action: str, reason: str) -> None:
        if len(self.reasons) < REASONS_TOLD:
            self.reasons.append({"root": root, "path": path, "action": action, "reason": reason})


@dataclass(frozen=True)
class Restored:
    """`receipt` is a RestoreReceipt in JSON; `index` is for the next save, None without a snapshot."""

    receipt: dict[str, Any]
    index: bytes | None


def restore(order: RestoreOrder, *, talk: ExecutorChannel) -> Restored:
    """Raises EngineFailed and its kinds."""
    began = time.monotonic()
    os.umask(0)  # modes are the snapshot's
    plan = read_plan(order.plan)
    manifest, digest = _manifest(order, talk)
    with _places(order, plan) as places:
        told = RestoreReport()
        for place in places:
            _choose(order, place, manifest, told)
        try:
            _stage(order, plan, manifest, places, talk)
            talk.progress("writing")
            _settle(places, told)
        finally:
            for place in places:
                place.staging.close()
        _finish_folders(places)
        with ThreadPoolExecutor(1) as meanwhile:
            flushed = meanwhile.map(flush_file_system, [place.descriptor for place in places])
            index = _index(manifest, digest, places) if manifest else None
            list(flushed)  # raises what a flush raised
    return Restored(_receipt(order, digest, places, told, began), index)


def _manifest(order: RestoreOrder, talk: ExecutorChannel) -> tuple[Manifest | None, str | None]:
    if order.snapshot_id is None:
        return None, None
    key = manifest_key(order.session_id, order.snapshot_id)
    talk.progress("downloading")
    data = get_object(talk, key, size=None, limit=MAX_STORED_BYTES, digest=order.manifest_digest)
    return read_manifest(data, session_id=order.session_id, snapshot_id=order.snapshot_id), manifest_digest(data)


@contextmanager
def _places(order: RestoreOrder, plan: RestoreSteps) -> Iterator[list[RootRestore]]:
    places: list[RootRestore] = []
    try:
        roots: list[tuple[Root, bytes]] = [("workspace", order.workspace), ("agent", order.home)]
        for root, path in roots:
            descriptor = open_root(path)
            places.append(RootRestore(root, descriptor, plan.steps(root), Staging(descriptor)))
        yield places
    finally:
        for place in places:
            os.close(place.descriptor)


def _choose(order: RestoreOrder, place: RootRestore, manifest: Manifest | None, told: RestoreReport) -> None:
    """Which of the snapshot's entries are put there, and what else the plan does."""
    kept, dropped = frozenset(order.keep), frozenset(order.drop)
    place.steps = {path: _as_found(place, step) for path, step in place.steps.items()}
    for entry, action in decided(manifest, place.root, place.steps) if manifest else ():
        told.count("restore" if action == "restore" else "keep")
        if action == "write":
            place.overwritten.add(entry.path)
        if action != "restore":
            continue
        is_reserved = entry.path.partition("/")[0] == STAGING
        if is_reserved or (place.root == "agent" and not _belongs(entry, kept, dropped)):
            told.counts["restore"] -= 1
            told.say(place.root, entry.path, "skip", "reserved" if is_reserved else "not_kept")
            continue
        place.entries.append(entry)
    if manifest is not None:
        place.entries = _with_own_bytes(place.entries, manifest.entries(place.root))
    for step in place.steps.values():
        if step.action != "restore":
            told.count(step.action)
            told.say(place.root, step.path, step.action, step.reason)


def _as_found(place: RootRestore, step: Step) -> Step:
    """A seed that nobody knew anything against takes no place of what is there all the same."""
    if step.action != "write" or step.reason != "seed" or not is_there(place.descriptor, step.place):
        return step
    return replace(step, action="keep", reason="session_has_it")


def _belongs(entry: Entry, kept: frozenset[str], dropped: frozenset[str]) -> bool:
    """Whether it is of the part of the home that is saved; folders lead there."""
    path = os.fsdecode(path_bytes(entry.path))
    return not is_kept(path, dropped) and (isinstance(entry, Folder) or is_kept(path, kept))


def _with_own_bytes(chosen: list[Entry], all_: list[Entry]) -> list[Entry]:
    """Hard links to what is not restored become files of their own."""
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
    order: RestoreOrder, plan: RestoreSteps, manifest: Manifest | None, places: list[RootRestore], talk: ExecutorChannel
) -> None:
    for place in places:
        for step in place.steps.values():
            if step.action == "mkdir" and step.path != TOP:
                place.staging.make_folder(step.place)
            elif step.action == "write":
                mode, over_folder = int(step.mode or "644", 8), step.path in place.overwritten
                place.staging.write(step.place, plan.content(step), mode=mode, over_folder=over_folder)
            elif step.reason == "in_place" and step.path != TOP:  # other reasons also keep away what is not there
                place.staging.protect(step.place)
    if manifest is not None:
        fetch = Fetch(manifest, session_id=order.session_id, talk=talk)
        for place in places:
            fetch.add(place.staging, place.entries)
        _check_space(places, fetch.bytes_to_write)
        fetch.run()


def _check_space(places: list[RootRestore], needed: int) -> None:
    """Better refused before than half way."""
    free = min(_free(place.descriptor) for place in places)
    if needed > free:
        raise EngineFailed(
            f"The disk has {free} bytes left, the snapshot needs {needed}. Nothing was changed.", code="disk_full"
        )


def _free(descriptor: int) -> int:
    about = os.fstatvfs(descriptor)
    return about.f_bavail * about.f_frsize


def _settle(places: list[RootRestore], told: RestoreReport) -> None:
    """All places, or none."""
    try:
        for place in places:
            _delete(place, told)
            place.staging.settle()
    except BaseException:
        for place in reversed(places):
            place.staging.undo()
        raise


def _delete(place: RootRestore, told: RestoreReport) -> None:
    """What the plan deletes, but what it says otherwise about below it."""
    spared = {step.place for step in place.steps.values() if step.action != "delete"}
    above_spared = {b"/".join(path.split(b"/")[:count]) for path in spared for count in range(path.count(b"/") + 1)}
    doomed = [step.place for step in place.steps.values() if step.action == "delete"]
    for path in sorted(doomed, key=lambda path: -path.count(b"/")):
        waiting = [path] if path else _below(place.descriptor, b"")
        while waiting:
            one = waiting.pop()
            if one in spared:
                continue
            if one in above_spared:
                waiting.extend(_below(place.descriptor, one))
                continue
            try:
                place.staging.take_away(one)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno != errno.ELOOP:  # a link above it: it is not there
                    raise
                told.say(place.root, text_of(os.fsdecode(one)), "skip", "behind_a_link")


def _below(root: int, folder: bytes) -> list[bytes]:
    try:
        with opened(root, folder) as at:
            names = [os.fsencode(name) for name in os.listdir(at)]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return []
        raise
    return [folder + b"/" + name if folder else name for name in names if folder or name != STAGING.encode()]


def _finish_folders(places: list[RootRestore]) -> None:
    """Modes and times of folders, the deepest first, after all that happened in them."""
    for place in places:
        for entry in reversed(place.entries):
            if isinstance(entry, Folder):
                with opened(place.descriptor, path_bytes(entry.path)) as folder:
                    os.fchmod(folder, entry.mode)
                    os.utime(folder, ns=(entry.mtime_ns, entry.mtime_ns))


def _index(manifest: Manifest, digest: str | None, places: list[RootRestore]) -> bytes:
    """As if a save had just read everything: it was proven, and nobody works here yet."""
    stamps: dict[Root, dict[str, Stamp]] = {place.root: _stamps(place) for place in places}
    newest = max((ctime_ns for of_root in stamps.values() for ctime_ns, _ in of_root.values()), default=0)
    while time.time_ns() <= newest + TICK_NS:
        time.sleep(TICK_NS / 1e9)
    return write_index(manifest, digest=digest or "", stamps=stamps, trusted_before_ns=time.time_ns())


def _stamps(place: RootRestore) -> dict[str, Stamp]:
    """Those that were moved or linked one by one have others since."""
    stamps = place.staging.stamps
    for path in place.staging.touched:
        folder, name = split(path)
        text = path_text(path)
        if text in stamps:
            with opened(place.descriptor, folder) as at:
                stamps[text] = stamp_of(os.stat(name, dir_fd=at, follow_symlinks=False))
    return stamps


def _receipt(
    order: RestoreOrder, digest: str | None, places: list[RootRestore], told: RestoreReport, began: float
) -> dict[str, Any]:
    files = [entry for place in places for entry in place.entries if not isinstance(entry, Folder)]
    return {
        **({} if order.snapshot_id is None else {"snapshotId": str(order.snapshot_id)}),
        "files": len(files),
        "bytes": sum(entry.size for entry in files if isinstance(entry, File | LargeFile)),
        "counts": told.counts,
        "reasons": told.reasons,
        **({} if digest is None else {"manifestDigest": digest}),
        "seconds": round(time.monotonic() - began, 3),
    }
