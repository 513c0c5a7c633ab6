"""Save both roots as one snapshot: scan, read changed files, upload new content, upload the manifest last."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from executor.secret_search import SecretSearch
from executor.snapshotter.ignore import read_patterns
from executor.snapshotter.index import MAPPED_MARGIN_NS, MARGIN_NS, Index, KnownEntry, Stamp, known_entries, write_index
from executor.snapshotter.objects import SnapshotObjects, upload
from executor.snapshotter.paths import in_folders, open_root
from executor.snapshotter.protocol import ExecutorChannel
from executor.snapshotter.scan import Scan, scan, scan_home, text_of, time_within
from executor.snapshotter.secret_check import SecretCheck, find_secrets, leave_out
from executor.snapshotter.snapshot import SaveOrder, Skip, count_changed, make_manifest, new_receipt, unchanged_receipt
from executor.snapshotter.stable_read import (
    TRIES,
    FileState,
    NotReadable,
    open_file,
    read_pieces,
    read_small,
    state_after,
)
from executor.snapshotter.temporary_access import OpenedFolders
from schema.object_keys import manifest_key
from schema.snapshot_manifest import (
    MAX_STORED_BYTES,
    Entry,
    File,
    HardLink,
    LargeFile,
    Manifest,
    Part,
    Roots,
    manifest_digest,
    parts_digest,
    path_bytes,
    read_snapshot_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    from executor.snapshotter.kept_end import KeptEndWriter
    from schema.workspace_api import Root

RETRIED_BYTES = 256 << 20
"""A larger file that changes while it is read is taken as read; the next save reads it again."""


@dataclass(frozen=True)
class SaveOutcome:
    """`receipt` is a SyncReceipt in JSON. `index` is for the next save, None when the last one still holds."""

    receipt: dict[str, Any]
    index: bytes | None


def save(
    order: SaveOrder, *, index: Index | None, channel: ExecutorChannel, keep: KeptEndWriter | None = None
) -> SaveOutcome:
    """Carry out the order. Raises SnapshotterFailed or a subclass; a failed save leaves only objects that no snapshot
    names. `keep` takes the objects in place of the store, also those of an unchanged state."""
    put = partial(upload, channel) if keep is None else keep.put
    began_ns, began = time.time_ns(), time.monotonic()
    head, head_digest = _head(order, index, channel)
    objects = SnapshotObjects(head, session_id=order.session_id, channel=channel, put=put)
    work = _Save(order, objects, index, head, channel)
    agent = work.read_home() if order.at_rest else None
    channel.send("homeRead", {})
    workspace = work.read_workspace()
    stored = objects.finish()
    roots = Roots(workspace.present, agent.present if agent else (head.roots.agent if head else []))
    skipped: list[Skip] = [("workspace", *skip) for skip in workspace.skipped]
    skipped += [("agent", *skip) for skip in agent.skipped] if agent else []
    stamps: dict[Root, dict[str, Stamp]] = {
        "workspace": workspace.stamps,
        "agent": agent.stamps if agent else _trusted_stamps(index, head, "agent"),
    }
    margin_ns = MARGIN_NS if order.at_rest else MAPPED_MARGIN_NS
    searched = work.search.fingerprint if agent else (index.secrets if index else "")
    index_of = partial(write_index, stamps=stamps, trusted_before_ns=began_ns - margin_ns, secrets=searched)
    if keep is None and head is not None and roots == head.roots:
        receipt = unchanged_receipt(head, head_digest, skipped=skipped, began=began)
        is_known = index is not None and index.digest == head_digest and not workspace.unread
        return SaveOutcome(
            receipt, None if is_known and not (agent and agent.unread) else index_of(head, digest=head_digest)
        )
    manifest = make_manifest(order, roots, stored, head)
    with ThreadPoolExecutor(1) as sending:  # prepares receipt and index while the manifest is packed and sent
        packed = sending.submit(write_manifest, manifest)
        changed = count_changed(head, manifest)
        data = packed.result()
        digest = manifest_digest(data)
        sent = sending.submit(put, manifest_key(order.session_id, order.snapshot_id), data)
        new_index = index_of(manifest, digest=digest)
        sent.result()
    receipt = new_receipt(
        manifest, digest, len(data), changed=changed, uploaded=objects.uploaded, skipped=skipped, began=began
    )
    if keep is not None:
        keep.finish(snapshot_id=order.snapshot_id, base=order.head, receipt=receipt)
    return SaveOutcome(receipt, new_index)


def _trusted_stamps(index: Index | None, head: Manifest | None, root: Root) -> dict[str, Stamp]:
    """Return the last scan's trusted stamps of a root that this save does not scan."""
    if index is None or head is None or index.manifest.snapshot_id != head.snapshot_id:
        return {}
    return {path: stamp for path, (_, stamp) in known_entries(index, root).items()}


def _head(order: SaveOrder, index: Index | None, channel: ExecutorChannel) -> tuple[Manifest | None, str]:
    """Return the previous snapshot's manifest and digest: from the index, or from the store when another worker saved
    it."""
    if order.head is None:
        return None, ""
    if index is not None and index.manifest.snapshot_id == order.head and index.manifest.session_id == order.session_id:
        return index.manifest, index.digest
    from executor.snapshotter.transfer import get_object

    key = manifest_key(order.session_id, order.head)
    data = get_object(channel, key, limit=MAX_STORED_BYTES, digest=order.head_digest)
    return read_snapshot_manifest(data, session_id=order.session_id, snapshot_id=order.head), manifest_digest(data)


class _Save:
    """Hold the state of one save."""

    def __init__(
        self,
        order: SaveOrder,
        objects: SnapshotObjects,
        index: Index | None,
        head: Manifest | None,
        channel: ExecutorChannel,
    ) -> None:
        self._order = order
        self._objects = objects
        self._index = index
        self._channel = channel
        self._head = head
        self.search = SecretSearch(order.secrets)
        self._reading: Root = "workspace"
        self._before: dict[str, Entry] = {}
        self._scanned: dict[Root, Scan] = {}
        self._inodes: dict[str, int] = {}
        self._has_missed = False
        self._of_head = index is not None and head is not None and index.manifest.snapshot_id == head.snapshot_id

    def read_home(self) -> Scan:
        root = open_root(self._order.home)
        try:
            keep, drop = self._order.keep, frozenset(self._order.drop)
            return self._scan_and_read("agent", root, partial(scan_home, root, keep=keep, drop=drop))
        finally:
            os.close(root)

    def read_workspace(self) -> Scan:
        root = open_root(self._order.workspace)
        try:
            self._channel.progress("scanning")
            ignores = read_patterns(self._order.ignore)
            tick = lambda count: self._channel.progress("scanning", filesTotal=count)  # noqa: E731
            return self._scan_and_read("workspace", root, partial(scan, root, ignores=ignores, tick=tick))
        finally:
            os.close(root)

    def _scan_and_read(self, root: Root, descriptor: int, scan_all: Callable[..., Scan]) -> Scan:
        """Scan and read a root; repeat once when files vanished before they were read, because they may have moved."""
        known = self._known(root)
        self._has_missed = False
        scanned = self._scan_and_read_once(root, descriptor, scan_all, known)
        return self._scan_and_read_once(root, descriptor, scan_all, known) if self._has_missed else scanned

    def _scan_and_read_once(
        self, root: Root, descriptor: int, scan_all: Callable[..., Scan], known: dict[str, KnownEntry]
    ) -> Scan:
        """Scan and read a root. While an agent works it changes no modes, which the agent might notice."""
        with OpenedFolders(descriptor, bits=0o500, may_open=self._order.at_rest) as opened:
            return self._read(root, descriptor, scan_all(known=known, opened=opened))

    def _known(self, root: Root) -> dict[str, KnownEntry]:
        """Return the entries of the last scan that this snapshot may reuse unchanged.

        A home that was not searched for today's secrets is read anew.
        """
        if root == "agent" and self._index is not None and self._index.secrets != self.search.fingerprint:
            return {}
        known = known_entries(self._index, root)
        return known if self._of_head else self._objects.reusable_entries(known)

    def _read(self, root: Root, descriptor: int, scanned: Scan) -> Scan:
        """Read changed files and complete the scan's entries."""
        self._scanned[root], self._reading = scanned, root
        scanned.unread += self._retired(scanned)
        self._before = (
            {entry.path: entry for entry in self._head.entries(root)} if self._head and scanned.unread else {}
        )
        self._inodes = {path: inode for (_, inode), path in scanned.first_of.items()}
        self._read_files(scanned, scanned.unread, descriptor)
        if self._head is not None and scanned.present != self._head.entries(root) and self._retire():
            self._read_files(scanned, self._retired(scanned), descriptor)  # faster than fetching them from the store
        while lost_links := self._lost_links(scanned):
            self._read_files(scanned, lost_links, descriptor)
        self._objects.finish_pack()
        return scanned

    def _retire(self) -> bool:
        """Give up sparse packs. The other root's needs count too: its current entries, or else its saved ones."""
        assert self._head is not None
        roots: tuple[Root, Root] = ("workspace", "agent")
        entries = (self._scanned[root].entries if root in self._scanned else self._head.entries(root) for root in roots)
        return self._objects.retire(entry for of_root in entries for entry in of_root)

    def _retired(self, scanned: Scan) -> list[tuple[int, str]]:
        """Return the number and path of each file whose bytes are in a pack that is given up."""
        if not self._objects.has_retired:
            return []
        return [
            (number, os.fsdecode(path_bytes(entry.path)))
            for number, entry in enumerate(scanned.entries)
            if entry is not None and self._objects.is_retired(entry)
        ]

    def _lost_links(self, scanned: Scan) -> list[tuple[int, str]]:
        """Return the number and path of each hard link whose target is unreadable or was replaced. They are read as
        files."""
        links = [(number, entry) for number, entry in enumerate(scanned.entries) if isinstance(entry, HardLink)]
        files = {entry.path for entry in scanned.present if isinstance(entry, File | LargeFile)} if links else set()
        there = files - scanned.replaced
        return [(number, os.fsdecode(path_bytes(link.path))) for number, link in links if link.target not in there]

    def _read_files(self, scanned: Scan, files: list[tuple[int, str]], descriptor: int) -> None:
        """Read files in order, opening each folder once."""
        self._channel.progress("uploading", filesTotal=len(files))
        is_guarded = self._reading == "agent" and bool(self.search)
        if is_guarded:
            opens_up, there = self._order.at_rest, [path for _, path in scanned.files]
            leave_out(scanned, find_secrets(descriptor, files, self.search, beside=there, opens_up=opens_up))
        refused = scanned.left_out
        for number, folder, path in in_folders(descriptor, [file for file in files if file[1] not in refused]):
            self._read_file(scanned, number, folder, path, path[path.rfind("/") + 1 :])
        if is_guarded:
            leave_out(scanned, scanned.left_out)

    def _read_file(self, scanned: Scan, number: int, folder: int, path: str, name: str) -> None:
        scanned.entries[number] = None
        text, check = text_of(path), SecretCheck(self.search, leaves_out=self._reading == "agent")
        if folder < 0:
            self._has_missed = True
            return
        try:
            descriptor = open_file(folder, name, opens_up=self._order.at_rest)
            try:
                small = read_small(descriptor)
                entry, state = self._small(text, *small, check) if small else self._large(text, descriptor, check)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise NotReadable("unreadable") from None
            finally:
                os.close(descriptor)
        except NotReadable as error:
            if error.reason:
                scanned.skipped.append((path, error.reason))
            if error.reason == "unreadable":
                scanned.entries[number] = self._as_saved(text)
            self._has_missed = self._has_missed or error.reason is None
            return
        scanned.entries[number] = entry
        if check.skip_reason:
            scanned.skipped.append((path, check.skip_reason))
        if state.inode != self._inodes.get(text, state.inode):
            scanned.replaced.add(text)
        if state.is_steady:
            scanned.stamps[text] = state.ctime_ns, state.inode
        else:
            scanned.stamps.pop(text, None)
            scanned.skipped.append((path, "changing"))
        self._channel.add(files=1)

    def _as_saved(self, path: str) -> Entry | None:
        """Return the last snapshot's entry of a file that is no longer readable, or None."""
        before = self._before.get(path)
        return before if isinstance(before, File | LargeFile) else None

    def _small(self, path: str, data: bytes, state: FileState, check: SecretCheck) -> tuple[Entry, FileState]:
        check.take(data)
        digest = hashlib.sha256(data).hexdigest()
        before = self._before.get(path)
        if isinstance(before, File) and before.digest == digest and not self._objects.is_retired(before):
            location = before.pack, before.offset
        else:
            location = self._objects.add_small(digest, data)
        return File(path, state.mode, time_within(state.mtime_ns), state.size, digest, *location), state

    def _large(self, path: str, descriptor: int, check: SecretCheck) -> tuple[Entry, FileState]:
        for tries in range(TRIES):
            before = os.fstat(descriptor)
            pieces = check.pieces(read_pieces(descriptor, before))
            parts: list[Part] = [self._objects.add_part(*piece) for piece in pieces]
            end = parts[-1].offset + parts[-1].size if parts else 0
            size = max(min(before.st_size, os.fstat(descriptor).st_size), end)
            state = state_after(before, descriptor, size=size)
            if state.is_steady or tries == TRIES - 1 or size > RETRIED_BYTES:
                digest, mtime_ns = parts_digest(size, parts), time_within(state.mtime_ns)
                return LargeFile(path, state.mode, mtime_ns, size, digest, parts), state
        raise AssertionError("unreachable")
