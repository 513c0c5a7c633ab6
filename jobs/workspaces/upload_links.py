"""Sign the links of one save's uploads, so that each writes one object once, and put the uploads where they belong.

Where the store refuses to overwrite, a link leads to the object's key. Elsewhere it leads to a name of this save alone,
and `land` copies the upload to its key within the store, unless that exists.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import structlog

from jobs.object_store.contract import ObjectStorage, ObjectsUnavailable, StoredObject, UploadTerms
from jobs.workspaces.sync_operation import OperationFailed, Superseded
from jobs.workspaces.verify import Unproven, holds_content
from schema.object_keys import incoming_key
from schema.snapshot_manifest import MAX_STORED_BYTES
from schema.workspace_api import Want

MOST_UPLOAD_BYTES = MAX_STORED_BYTES + (1 << 20)
"""The bytes that a manifest may have, or a part that compression made longer."""
COPIES_AT_A_TIME = 8
_MD5_BYTES = 16

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class AnnouncedUpload:
    """An upload as the executor announced it. `name` is where its link leads. `md5` is hexadecimal."""

    key: str
    name: str
    size: int
    md5: str | None

    def is_in(self, stored: StoredObject, *, has_md5_etags: bool) -> bool:
        """Whether the object has the announced size, and the MD5 where the store shows it."""
        is_as_announced = self.md5 is None or not has_md5_etags or stored.etag == self.md5
        return stored.size == self.size and is_as_announced


class UploadLinks:
    """The links of one save. `begin` names the save before its first link; a repeated save begins again."""

    def __init__(self, store: ObjectStorage, session_id: UUID) -> None:
        self._store = store
        self._session_id = session_id
        self._save_id: UUID | None = None
        self._uploads: dict[str, AnnouncedUpload] = {}

    def begin(self, save_id: UUID) -> None:
        self._save_id = save_id
        self._uploads.clear()

    def sign(self, want: Want) -> str:
        """Return the link. Raise OperationFailed for an upload without a size, of too many bytes or without a save."""
        if want.method == "GET":
            return self._store.download_link(want.key)
        if want.size is None or not 0 <= want.size <= MOST_UPLOAD_BYTES or self._save_id is None:
            raise OperationFailed(f"The executor announced an upload of a wrong size: {want.key}.", code="bad_want")
        md5 = _hexadecimal(want)
        is_direct = md5 is not None and self._store.write_features().proves_single_writes
        name = want.key if is_direct else incoming_key(self._session_id, self._save_id, want.key)
        self._uploads[want.key] = AnnouncedUpload(want.key, name, want.size, md5)
        return self._store.upload_link(name, UploadTerms(want.size, want.md5, once=is_direct))

    def announced(self) -> dict[str, str | None]:
        """Return the uploads' keys, each with its hexadecimal MD5 where the store's ETags can be compared with it."""
        has_md5_etags = self._store.write_features().has_md5_etags
        return {upload.key: upload.md5 if has_md5_etags else None for upload in self._uploads.values()}

    def land(self, *, is_held: Callable[[], bool]) -> None:
        """Copy what came under names of this save to the objects' keys, and delete these names.

        An object that exists stays as it is. Raise Unproven where it, or what came, is not what was announced, and
        Superseded once this job no longer holds the session.
        """
        uploads = {upload.name: upload for upload in self._uploads.values() if upload.name != upload.key}
        if not uploads:
            return
        has_md5_etags = self._store.write_features().has_md5_etags
        came = self._store.find(uploads)
        wrong = [name for name, stored in came.items() if not uploads[name].is_in(stored, has_md5_etags=has_md5_etags)]
        if wrong:
            raise Unproven(f"The store holds another upload than the executor announced: {uploads[wrong[0]].key}.")
        present = self._store.find([uploads[name].key for name in came])
        same = {uploads[name].key: stored for name, stored in came.items()}
        altered = [key for key, stored in present.items() if not self._is_same(stored, same[key])]
        if altered:
            raise Unproven(f"The store held other bytes than the executor uploaded: {altered[0]}.", damaged=altered)
        self._copy({key: stored for key, stored in same.items() if key not in present}, is_held)
        try:
            self._store.delete(list(came))
        except ObjectsUnavailable as error:  # all has landed, and garbage collection deletes these names too
            _log.warning("uploads.left", count=len(came), why=error.detail)

    def _copy(self, sources: dict[str, StoredObject], is_held: Callable[[], bool]) -> None:
        """Copy each upload to its key. Raise Unproven where another upload took its place meanwhile."""

        def copy(key: str) -> str:
            if not is_held():  # another save may have put the object there since `land` looked
                raise Superseded
            return self._store.copy(sources[key], key)

        with ThreadPoolExecutor(COPIES_AT_A_TIME, thread_name_prefix="copies") as threads:
            etags = threads.map(copy, sources)
            changed = [key for key, etag in zip(sources, etags, strict=True) if etag != sources[key].etag]
        if changed and self._store.write_features().has_md5_etags:
            raise Unproven(f"An upload was replaced while it was copied: {changed[0]}.", damaged=changed)

    def _is_same(self, stored: StoredObject, other: StoredObject) -> bool:
        """Whether an object that exists is what was uploaded. Where ETags cannot tell, its key must name its bytes."""
        if self._store.write_features().has_md5_etags and (stored.size, stored.etag) == (other.size, other.etag):
            return True
        return holds_content(self._store, stored.key)


def _hexadecimal(want: Want) -> str | None:
    if want.md5 is None:
        return None
    try:
        digest = base64.b64decode(want.md5, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise OperationFailed(f"The executor announced an upload with a wrong MD5: {want.key}.", code="bad_want")
    return digest.hex()
