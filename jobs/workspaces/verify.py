"""Verify a snapshot against the store before its commit: every object exists and has its size.

What the save uploaded is compared by MD5 too. The duty of jobs/workspaces/verify_objects.py reads all objects, slowly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar
from uuid import UUID

from handlers.workspaces.sync import BegunSync
from jobs.object_store.contract import ObjectStorage
from schema.errors import NotFound, RunyardError
from schema.object_keys import is_content_key, manifest_key
from schema.rows import SnapshotRow
from schema.snapshot_manifest import BadManifest, read_snapshot_manifest
from schema.workspace_api import SyncReceipt


class Unproven(RunyardError):
    """The store does not hold all objects of a snapshot. `damaged` names existing objects that differ.

    `head_lost`: some of them this save did not upload, so that it cannot build on the last snapshot.
    """

    code: ClassVar[str] = "unproven"

    def __init__(self, detail: str, *, damaged: Sequence[str] = (), head_lost: bool = False) -> None:
        self.damaged = list(damaged)
        self.head_lost = head_lost
        super().__init__(detail)


def verify(
    store: ObjectStorage,
    begun: BegunSync,
    receipt: SyncReceipt,
    *,
    requested_ids: Collection[UUID],
    announced: Mapping[str, str | None],
) -> None:
    """Verify a sync's receipt. Raise Unproven. `requested_ids` are the ids that the new snapshot may have.

    `announced` are the keys of this save's uploads, with hexadecimal MD5s where ETags can be compared with them.
    """
    if receipt.unchanged:
        if begun.head is None or receipt.manifest_digest != begun.head.manifest_digest:
            raise Unproven("The executor compared with a snapshot other than the last.", head_lost=True)
        _verify(store, begun.head)
        return
    session_id = begun.lease.session_id
    if receipt.snapshot_id not in requested_ids:
        raise Unproven("The executor synced under an id that was not requested.")
    *contents, last = receipt.objects or [""]
    is_own = all(is_content_key(session_id, key) for key in contents)
    if not is_own or last != manifest_key(session_id, receipt.snapshot_id):
        raise Unproven("The executor named objects outside the session.")
    sizes = _sizes(store, session_id, receipt.snapshot_id, receipt.manifest_digest, announced=announced)
    if sizes != receipt.object_sizes or sizes.keys() != set(receipt.objects):
        raise Unproven("The manifest names other objects than the executor.")
    _compare(store, sizes, announced={**announced, last: None})  # the manifest's digest proves more than an ETag


def verify_snapshot(store: ObjectStorage, snapshot: SnapshotRow) -> bool:
    """Whether the store still holds all of a committed snapshot."""
    try:
        _verify(store, snapshot)
    except Unproven:
        return False
    return True


def is_content_of_key(key: str, data: bytes) -> bool:
    """Whether the bytes are those of the pack or part that the key names by their SHA-256."""
    return hashlib.sha256(data).hexdigest() == key.rpartition("/")[2]


def holds_content(store: ObjectStorage, key: str) -> bool:
    """Read a pack or part, and tell whether the store holds what its key names."""
    try:
        return is_content_of_key(key, store.read(key))
    except NotFound:
        return False


def _verify(store: ObjectStorage, snapshot: SnapshotRow) -> None:
    sizes = _sizes(store, snapshot.session_id, snapshot.id, snapshot.manifest_digest, announced={})
    if sizes.keys() != set(snapshot.objects):
        raise Unproven("The manifest names other objects than the snapshot.", head_lost=True)
    _compare(store, sizes, announced={})


def _sizes(
    store: ObjectStorage, session_id: UUID, snapshot_id: UUID, digest: str, *, announced: Mapping[str, str | None]
) -> dict[str, int]:
    """Return the sizes of a snapshot's objects by key: those of its manifest, and the manifest itself."""
    key = manifest_key(session_id, snapshot_id)
    head_lost = key not in announced
    try:
        data = store.read(key)
        manifest = read_snapshot_manifest(data, session_id=session_id, snapshot_id=snapshot_id, digest=digest)
    except NotFound:
        raise Unproven("The snapshot's manifest is not in the store.", head_lost=head_lost) from None
    except BadManifest as error:
        raise Unproven(error.detail, head_lost=head_lost) from None
    return {**{stored.key(session_id): stored.size for stored in manifest.objects}, key: len(data)}


def _compare(store: ObjectStorage, expected: dict[str, int], *, announced: Mapping[str, str | None]) -> None:
    stored = store.find(list(expected))
    wrong = [key for key, size in expected.items() if key not in stored or stored[key].size != size]
    if wrong:
        raise Unproven(
            f"{len(wrong)} of {len(expected)} objects are missing in the store or have another size: {wrong[0]}.",
            damaged=[key for key in wrong if key in stored],
            head_lost=any(key not in announced for key in wrong),
        )
    unlike = [key for key, md5 in announced.items() if md5 is not None and key in stored and stored[key].etag != md5]
    altered = [key for key in unlike if not holds_content(store, key)]  # a backup put back in parts has other ETags
    if altered:
        raise Unproven(
            f"{len(altered)} objects were in the store before, with other bytes: {altered[0]}.", damaged=altered
        )
