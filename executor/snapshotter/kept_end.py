"""Keep a run's end in one local file until it can be uploaded: a snapshot's objects, its manifest last, and an index.

The file is the executor's, and the snapshotter inherits it as a descriptor. It holds the objects one after another,
then the index (msgpack), then the index's length in 8 bytes.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from msgspec import Struct

from executor.snapshotter.index import Index
from executor.snapshotter.protocol import ExecutorChannel, SnapshotterFailed
from executor.snapshotter.transfer import put_object
from schema.object_keys import manifest_key
from schema.snapshot_manifest import Manifest, manifest_digest, read_snapshot_manifest, write_manifest

UPLOADS_AT_ONCE = 4
_LENGTH_BYTES = 8


class EndTooLarge(SnapshotterFailed):
    """The changes of the run are larger than the room that the executor gives them."""

    code: ClassVar[str] = "end_too_large"


class EndIncomplete(SnapshotterFailed):
    """The kept end of a run cannot be a snapshot: it is damaged, or the store lost what it builds on."""

    code: ClassVar[str] = "end_incomplete"


class KeptObject(Struct, frozen=True, array_like=True):
    """`size` bytes at `offset` of the file are the object at `key` of the store."""

    key: str
    offset: int
    size: int


class KeptEnd(Struct, frozen=True):
    """`receipt` is a SyncReceipt in JSON, under an id of the executor's own. `base` is the snapshot whose objects are
    not in the file."""

    snapshot_id: UUID
    base: UUID | None
    receipt: dict[str, Any]
    objects: list[KeptObject]


class KeptEndWriter:
    """Write objects to the file in place of the store. Any thread may call `put`. Raises EndTooLarge."""

    def __init__(self, descriptor: int, *, most_bytes: int) -> None:
        self._file = os.fdopen(descriptor, "wb")
        self._most_bytes = most_bytes
        self._writing = threading.Lock()
        self._objects: list[KeptObject] = []
        self._end = 0

    def put(self, key: str, data: bytes) -> None:
        with self._writing:
            if self._end + len(data) > self._most_bytes:
                raise EndTooLarge
            self._file.write(data)
            self._objects.append(KeptObject(key, self._end, len(data)))
            self._end += len(data)

    def finish(self, *, snapshot_id: UUID, base: UUID | None, receipt: dict[str, Any]) -> None:
        index = msgspec.msgpack.encode(KeptEnd(snapshot_id, base, receipt, self._objects))
        self._file.write(index + len(index).to_bytes(_LENGTH_BYTES))
        self._file.flush()
        os.fsync(self._file.fileno())  # the executor names the file a kept end: that must not outlive its content
        self._file.close()


@dataclass(frozen=True, kw_only=True)
class SendOrder:
    """Say under which id to upload a kept end. `head` is the newest snapshot, None when there is none or the store lost
    objects of it (`head_lost`)."""

    session_id: UUID
    snapshot_id: UUID
    head: UUID | None
    head_lost: bool
    file: int


def send_kept_end(
    order: SendOrder, *, index: Index | None, channel: ExecutorChannel
) -> tuple[dict[str, Any], Index | None]:
    """Upload the objects, then the manifest. Return the receipt, and the last scan's index under the new id where it is
    that of this end.

    Raises EndIncomplete and StoreFailed.
    """
    began, kept = time.monotonic(), _read_kept_end(order.file)
    if order.head_lost and kept.base is not None:
        raise EndIncomplete
    *contents, last = kept.objects
    channel.progress("uploading", filesTotal=len(kept.objects))
    pool = ThreadPoolExecutor(UPLOADS_AT_ONCE, "upload")
    try:
        list(pool.map(partial(_send, order.file, channel), contents))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    manifest = _under_new_id(_read(order.file, last, digest=kept.receipt["manifestDigest"]), kept, order)
    data = write_manifest(manifest)
    key, digest = manifest_key(order.session_id, order.snapshot_id), manifest_digest(data)
    put_object(channel, key, data)
    sent = {
        **kept.receipt,
        "snapshotId": str(order.snapshot_id),
        "objects": [*kept.receipt["objects"][:-1], key],
        "objectSizes": {**_without(kept.receipt["objectSizes"], last.key), key: len(data)},
        "manifestDigest": digest,
        "uploaded": [*(each.key for each in contents), key],
        "uploadedBytes": sum(each.size for each in contents) + len(data),
        "seconds": round(time.monotonic() - began, 3),
    }
    if index is None or index.manifest.snapshot_id != kept.snapshot_id:
        return sent, None
    return sent, msgspec.structs.replace(index, manifest=manifest, digest=digest)


def _under_new_id(data: bytes, kept: KeptEnd, order: SendOrder) -> Manifest:
    manifest = read_snapshot_manifest(data, session_id=order.session_id, snapshot_id=kept.snapshot_id)
    return msgspec.structs.replace(manifest, snapshot_id=order.snapshot_id, parent=order.head)


def _without(sizes: dict[str, int], key: str) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if name != key}


def _send(file: int, channel: ExecutorChannel, kept: KeptObject) -> None:
    put_object(channel, kept.key, _read(file, kept, digest=kept.key.rpartition("/")[2]))
    channel.add(files=1, amount=kept.size)


def _read(file: int, kept: KeptObject, *, digest: str) -> bytes:
    """Return the object's bytes. Raises EndIncomplete where their SHA-256 differs: later saves would trust the key."""
    data = os.pread(file, kept.size, kept.offset)
    if hashlib.sha256(data).hexdigest() != digest:
        raise EndIncomplete
    return data


def _read_kept_end(file: int) -> KeptEnd:
    end = os.fstat(file).st_size - _LENGTH_BYTES
    length = int.from_bytes(os.pread(file, _LENGTH_BYTES, end)) if end > 0 else 0
    if not 0 < length <= end:
        raise EndIncomplete
    try:
        return msgspec.msgpack.decode(os.pread(file, length, end - length), type=KeptEnd)
    except msgspec.DecodeError:
        raise EndIncomplete from None
