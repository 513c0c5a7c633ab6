"""What a save claims is proven against the store before it counts: every object there, and of its size."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar
from uuid import UUID

from handlers.saving import Begun
from jobs.objects import Objects
from schema.errors import NotFound, RunyardError
from schema.object_keys import is_content_key, manifest_key
from schema.rows import SnapshotRow
from schema.snapshot_manifest import BadManifest, Manifest, read_manifest
from schema.workspace_api import SyncReceipt


class Unproven(RunyardError):
    """The store does not hold what was said to be saved."""

    code: ClassVar[str] = "unproven"


def prove(store: Objects, begun: Begun, receipt: SyncReceipt, *, asked: Collection[UUID]) -> None:
    """Raises Unproven. `asked` are the ids that the new snapshot may have."""
    session_id = begun.turn.session_id
    if receipt.unchanged:
        if begun.head is None or set(receipt.objects) != set(begun.head.objects):
            raise Unproven("The executor compared with a snapshot that is not the last one.")
        snapshot_id, digest = begun.head.id, begun.head.manifest_digest
    else:
        snapshot_id, digest = receipt.snapshot_id, receipt.manifest_digest
        if snapshot_id not in asked:
            raise Unproven("The executor saved under an id that it was not given.")
    *contents, last = receipt.objects or [""]
    if last != manifest_key(session_id, snapshot_id) or not all(is_content_key(session_id, key) for key in contents):
        raise Unproven("The executor names objects that are not the session's.")
    manifest, manifest_bytes = _manifest(store, session_id, snapshot_id, digest)
    sizes = _sizes(manifest, last, manifest_bytes)
    if set(contents) != sizes.keys() - {last}:
        raise Unproven("The manifest names other objects than the executor.")
    if not receipt.unchanged and receipt.object_sizes != sizes:
        raise Unproven("The executor says other sizes than the manifest.")
    _compare(store, sizes)


def prove_snapshot(store: Objects, snapshot: SnapshotRow) -> bool:
    """Whether all of a committed snapshot is still in the store."""
    try:
        manifest, size = _manifest(store, snapshot.session_id, snapshot.id, snapshot.manifest_digest)
        _compare(store, _sizes(manifest, snapshot.objects[-1], size))
    except Unproven:
        return False
    return True


def _manifest(store: Objects, session_id: UUID, snapshot_id: UUID, digest: str) -> tuple[Manifest, int]:
    """The manifest and its object's size."""
    try:
        data = store.read(manifest_key(session_id, snapshot_id))
        return read_manifest(data, session_id=session_id, snapshot_id=snapshot_id, digest=digest), len(data)
    except NotFound:
        raise Unproven("The snapshot's manifest is not in the store.") from None
    except BadManifest as error:
        raise Unproven(error.detail) from None


def _sizes(manifest: Manifest, key: str, size: int) -> dict[str, int]:
    """By key, those of the contents and of the manifest itself."""
    session_id = manifest.session_id
    return {**{stored.key(session_id): stored.size for stored in manifest.objects}, key: size}


def _compare(store: Objects, expected: dict[str, int]) -> None:
    found = store.sizes(list(expected))
    wrong = [key for key, size in expected.items() if found.get(key) != size]
    if wrong:
        raise Unproven(f"{len(wrong)} of {len(expected)} objects are not in the store as they should be: {wrong[0]}.")
