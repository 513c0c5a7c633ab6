"""Saves both roots as one snapshot: scan, read what changed, upload what is new, the manifest last."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.saving.contents import Contents
from executor.saving.ignore import read_patterns
from executor.saving.index import MARGIN_NS, Index, Known, Stamp, is_unchanged, known_files, write_index
from executor.saving.paths import FOLDER, open_below, open_root
from executor.saving.reading import (
    TRIES,
    Look,
    NotReadable,
    look_again,
    open_file,
    pieces,
    read_small,
)
from executor.saving.scan import Found, Scan, is_plain, scan, scan_kept, text_of
from executor.saving.snapshot import SaveOrder, make_manifest, new_receipt, unchanged_receipt
from executor.saving.talk import Talk
from executor.saving.transfer import get_object, put_object
from schema.object_keys import manifest_key
from schema.snapshot_manifest import (
    MAX_STORED_BYTES,
    Entry,
    File,
    Folder,
    HardLink,
    LargeFile,
    Manifest,
    Part,
    Roots,
    Symlink,
    manifest_digest,
    parts_digest,
    read_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from schema.workspace_api import Root

_KIND, _BITS = 0o170000, 0o7777
RETRIED_BYTES = 256 << 20
"""A larger file that changes while it is read is taken as it came: the next save reads it again."""


@dataclass
class Saved:
    """One root's part of the snapshot being made; `entries` of files that have to be read are filled in later."""

    root: Root
    entries: list[Entry | None] = field(default_factory=list)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unread: list[tuple[int, Found]] = field(default_factory=list)
    files: list[tuple[int, Found]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """`receipt` is a SyncReceipt in JSON; `index` is for the next save, None when the last one still holds."""

    receipt: dict[str, Any]
    index: bytes | None


def save(order: SaveOrder, *, index: Index | None, talk: Talk) -> Outcome:
    """Raises EngineFailed and its kinds; then nothing is changed but objects that no snapshot names."""
    began_ns, began = time.time_ns(), time.monotonic()
    head, head_digest = _head(order, index, talk)
    contents = Contents(head, session_id=order.session_id, talk=talk)
    saving = _Saving(order, contents, index, head, talk)
    agent = saving.read_home() if order.at_rest else None
    talk.say("homeRead", {})
    workspace = saving.read_workspace()
    objects = contents.finish()
    roots = Roots(_done(workspace), _done(agent) if agent else (head.roots.agent if head else []))
    skipped = [(one.root, *each) for one in (workspace, agent) if one for each in one.skipped]
    trusted_before_ns = began_ns - MARGIN_NS
    stamps: dict[Root, dict[str, Stamp]] = {
        "workspace": workspace.stamps,
        "agent": agent.stamps if agent else _trusted_stamps(index, head, "agent"),
    }
    index_of = partial(write_index, stamps=stamps, trusted_before_ns=trusted_before_ns)
    if head is not None and roots == head.roots:
        receipt = unchanged_receipt(head, head_digest, skipped=skipped, began=began)
        is_known = index is not None and index.digest == head_digest and not workspace.unread
        return Outcome(
            receipt, None if is_known and not (agent and agent.unread) else index_of(head, digest=head_digest)
        )
    manifest = make_manifest(order, roots, objects, head)
    data = write_manifest(manifest)
    put_object(talk, manifest_key(order.session_id, order.snapshot_id), data)
    receipt = new_receipt(manifest, data, head=head, uploaded=contents.uploaded, skipped=skipped, began=began)
    return Outcome(receipt, index_of(manifest, digest=manifest_digest(data)))


def _trusted_stamps(index: Index | None, head: Manifest | None, root: Root) -> dict[str, Stamp]:
    """Of a root that is not scanned now: what the last scan could trust already."""
    if index is None or head is None or index.manifest.snapshot_id != head.snapshot_id:
        return {}
    return {
        path: stamp
        for path, (entry, stamp) in known_files(index, root).items()
        if isinstance(entry, File | LargeFile) and max(stamp[0], entry.mtime_ns) < index.trusted_before_ns
    }


def _head(order: SaveOrder, index: Index | None, talk: Talk) -> tuple[Manifest | None, str]:
    """The manifest of the snapshot before, and its digest: the index has it, unless that one was saved elsewhere."""
    if order.head is None:
        return None, ""
    if index is not None and index.manifest.snapshot_id == order.head and index.manifest.session_id == order.session_id:
        return index.manifest, index.digest
    key = manifest_key(order.session_id, order.head)
    data = get_object(talk, key, size=None, limit=MAX_STORED_BYTES, digest=order.head_digest)
    return read_manifest(data, session_id=order.session_id, snapshot_id=order.head), manifest_digest(data)


class _Saving:
    """One save under way."""

    def __init__(
        self, order: SaveOrder, contents: Contents, index: Index | None, head: Manifest | None, talk: Talk
    ) -> None:
        self._order = order
        self._contents = contents
        self._index = index
        self._talk = talk
        self._head = head
        self._before: dict[str, Entry] = {}
        self._saved: dict[Root, Sequence[Entry | None]] = {}
        self._of_head = index is not None and head is not None and index.manifest.snapshot_id == head.snapshot_id

    def read_home(self) -> Saved:
        root = open_root(self._order.home)
        try:
            drop = frozenset(self._order.drop)
            return self._read("agent", root, scan_kept(root, keep=self._order.keep, drop=drop))
        finally:
            os.close(root)

    def read_workspace(self) -> Saved:
        root = open_root(self._order.workspace)
        try:
            self._talk.progress("scanning")
            ignores = read_patterns(self._order.ignore)
            tick = lambda count: self._talk.progress("scanning", filesTotal=count)  # noqa: E731
            return self._read("workspace", root, scan(root, ignores=ignores, tick=tick))
        finally:
            os.close(root)

    def _read(self, root: Root, descriptor: int, scanned: Scan) -> Saved:
        saved = Saved(root, skipped=list(scanned.skipped))
        known = known_files(self._index, root)
        trusted_before_ns = self._index.trusted_before_ns if self._index else 0
        first_of: dict[tuple[int, int], str] = {}
        for found in scanned.found:
            path = found.path if is_plain(found.path) else text_of(found.path)
            kind = found.mode & _KIND
            if kind == stat.S_IFREG:
                if found.links > 1:
                    first = first_of.setdefault((found.device, found.inode), path)
                    if first != path:
                        saved.entries.append(HardLink(path, first))
                        continue
                self._place(saved, path, found, known.get(path), trusted_before_ns)
            elif kind == stat.S_IFDIR:
                saved.entries.append(Folder(path, found.mode & _BITS, found.mtime_ns))
            else:
                saved.entries.append(Symlink(path, found.mtime_ns, text_of(found.target or "")))
        self._before = {entry.path: entry for entry in self._head.entries(root)} if self._head and saved.unread else {}
        self._read_files(saved, saved.unread, descriptor)
        if self._head is not None and _done(saved) != self._head.entries(root) and self._retire(saved):
            retired = [one for one in saved.files if self._contents.is_retired(saved.entries[one[0]])]
            self._read_files(saved, retired, descriptor)  # again: they are here, and the store is far
        _drop_lost_links(saved)
        self._contents.finish_pack()
        return saved

    def _retire(self, saved: Saved) -> bool:
        """What the other root needs of a pack counts too: as it is by now, or else as it was."""
        assert self._head is not None
        self._saved[saved.root] = saved.entries
        roots: tuple[Root, Root] = ("workspace", "agent")
        return self._contents.retire(
            entry for root in roots for entry in self._saved.get(root, self._head.entries(root))
        )

    def _place(self, saved: Saved, path: str, found: Found, known: Known | None, trusted_before_ns: int) -> None:
        saved.files.append((len(saved.entries), found))
        if known is not None and is_unchanged(found, known, trusted_before_ns=trusted_before_ns):
            entry = self._contents.is_current(known[0], of_head=self._of_head)
            if entry is not None:
                saved.entries.append(entry)
                saved.stamps[path] = known[1]
                return
        saved.unread.append((len(saved.entries), found))
        saved.entries.append(None)

    def _read_files(self, saved: Saved, files: list[tuple[int, Found]], descriptor: int) -> None:
        """Those of one folder follow each other."""
        self._talk.progress("uploading", filesTotal=len(files))
        at, folder = -1, None
        try:
            for number, found in files:
                name_at = found.path.rfind("/")
                parent = found.path[: max(name_at, 0)]
                if parent != folder:
                    if at >= 0:
                        os.close(at)
                    at, folder = _open_folder(descriptor, parent), parent
                self._read_one(saved, number, at, found, found.path[name_at + 1 :])
        finally:
            if at >= 0:
                os.close(at)

    def _read_one(self, saved: Saved, number: int, folder: int, found: Found, name: str) -> None:
        saved.entries[number] = None
        if folder < 0:
            return
        try:
            descriptor = open_file(folder, name)
        except NotReadable as error:
            if error.reason:
                saved.skipped.append((found.path, error.reason))
            return
        try:
            path = text_of(found.path)
            small = read_small(descriptor)
            entry, look = self._small(path, *small) if small else self._large(path, descriptor)
        finally:
            os.close(descriptor)
        saved.entries[number] = entry
        if look.is_steady:
            saved.stamps[path] = look.ctime_ns, look.inode
        else:
            saved.stamps.pop(path, None)
            saved.skipped.append((found.path, "changing"))
        self._talk.add(files=1)

    def _small(self, path: str, data: bytes, look: Look) -> tuple[Entry, Look]:
        digest = hashlib.sha256(data).hexdigest()
        before = self._before.get(path)
        if isinstance(before, File) and before.digest == digest and not self._contents.is_retired(before):
            place = before.pack, before.offset
        else:
            place = self._contents.place_small(digest, data)
        return File(path, look.mode, look.mtime_ns, look.size, digest, *place), look

    def _large(self, path: str, descriptor: int) -> tuple[Entry, Look]:
        for tries in range(TRIES):
            before = os.fstat(descriptor)
            parts: list[Part] = [self._contents.place_part(*piece) for piece in pieces(descriptor, before)]
            end = parts[-1].offset + parts[-1].size if parts else 0
            size = max(min(before.st_size, os.fstat(descriptor).st_size), end)
            look = look_again(before, descriptor, size=size)
            if look.is_steady or tries == TRIES - 1 or size > RETRIED_BYTES:
                entry = LargeFile(path, look.mode, look.mtime_ns, size, parts_digest(size, parts), parts)
                return entry, look
        raise AssertionError("unreachable")


def _open_folder(root: int, folder: str) -> int:
    """-1 when it is gone, or is a folder no more."""
    try:
        return open_below(root, os.fsencode(folder), FOLDER)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
            return -1
        raise


def _done(saved: Saved) -> list[Entry]:
    return [entry for entry in saved.entries if entry is not None]


def _drop_lost_links(saved: Saved) -> None:
    """Hard links to a file that could not be read are no links to anything."""
    there = {entry.path for entry in saved.entries if isinstance(entry, File | LargeFile)}
    for number, entry in enumerate(saved.entries):
        if isinstance(entry, HardLink) and entry.target not in there:
            saved.skipped.append((entry.path, "unreadable"))
            saved.entries[number] = None
