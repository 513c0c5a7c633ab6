"""Verify a snapshot against the store before its commit: every object exists and has its size."""

from __future__ import annotations

from collections.abc import Collection
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
    """The store does not hold all objects of a snapshot."""

    code: ClassVar[str] = "unproven"


def verify(store: ObjectStorage, begun: BegunSync, receipt: SyncReceipt, *, requested_ids: Collection[UUID]) -> None:
    """Verify a sync's receipt. Raise Unproven. `requested_ids` are the ids that the new snapshot may have."""
    if receipt.unchanged:
        if begun.head is None or receipt.manifest_digest != begun.head.manifest_digest:
            raise Unproven("The executor compared with a snapshot other than the last.")
        _verify(store, begun.head)
        return
    session_id = begun.lease.session_id
    if receipt.snapshot_id not in requested_ids:
        raise Unproven("The executor synced under an id that was not requested.")
    *contents, last = receipt.objects or [""]
    is_own = all(is_content_key(session_id, key) for key in contents)
    if not is_own or last != manifest_key(session_id, receipt.snapshot_id):
        raise Unproven("The executor named objects outside the session.")
    sizes = _sizes(store, session_id, receipt.snapshot_id, receipt.manifest_digest)
    if sizes != receipt.object_sizes or sizes.keys() != set(receipt.objects):
        raise Unproven("The manifest names other objects than the executor.")
    _compare(store, sizes)


def verify_snapshot(store: ObjectStorage, snapshot: SnapshotRow) -> bool:
    """Whether the store still holds all of a committed snapshot."""
    try:
        _verify(store, snapshot)
    except Unproven:
        return False
    return True


def _verify(store: ObjectStorage, snapshot: SnapshotRow) -> None:
    sizes = _sizes(store, snapshot.session_id, snapshot.id, snapshot.manifest_digest)
    if sizes.keys() != set(snapshot.objects):
        raise Unproven("The manifest names other objects than the snapshot.")
    _compare(store, sizes)


def _sizes(store: ObjectStorage, session_id: UUID, snapshot_id: UUID, digest: str) -> dict[str, int]:
    """Return the sizes of a snapshot's objects by key: those of its manifest, and the manifest itself."""
    key = manifest_key(session_id, snapshot_id)
    try:
        data = store.read(key)
        manifest = read_snapshot_manifest(data, session_id=session_id, snapshot_id=snapshot_id, digest=digest)
    except NotFound:
        raise Unproven("The snapshot's manifest is not in the store.") from None
    except BadManifest as error:
        raise Unproven(error.detail) from None
    return {**{stored.key(session_id): stored.size for stored in manifest.objects}, key: len(data)}


def _compare(store: ObjectStorage, expected: dict[str, int]) -> None:
    sizes = store.sizes(list(expected))
    wrong = [key for key, size in expected.items() if sizes.get(key) != size]
    if wrong:
        raise Unproven(
            f"{len(wrong)} of {len(expected)} objects are missing in the store or have another size: {wrong[0]}."
        )
