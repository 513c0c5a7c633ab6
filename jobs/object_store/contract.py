"""The contract of the object store for jobs; jobs/object_store/s3.py implements it.

Every method blocks, and raises ObjectsUnavailable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from schema.errors import Unavailable


class ObjectsUnavailable(Unavailable):
    """The object store cannot perform the request now."""

    code: ClassVar[str] = "object_store_unavailable"


@dataclass(frozen=True)
class StoredObject:
    """An object of the store: `size` in bytes. `etag` is the MD5 of its bytes in many stores (WriteFeatures)."""

    key: str
    size: int
    last_modified: datetime
    etag: str


@dataclass(frozen=True)
class UploadTerms:
    """The upload that a link allows: `size` in bytes, and the `md5` of its bytes in base64, where it is known.

    `once`: the store refuses the upload (412) when the object exists.
    """

    size: int
    md5: str | None = None
    once: bool = False


@dataclass(frozen=True)
class WriteFeatures:
    """A store's features of writes: `refuses_existing` by If-None-Match, `has_md5_etags` on what it wrote."""

    refuses_existing: bool
    has_md5_etags: bool

    @property
    def proves_single_writes(self) -> bool:
        """Whether a link can write its key once, and the object then shows whether it is what the link wrote."""
        return self.refuses_existing and self.has_md5_etags


class ObjectStorage(Protocol):
    """The objects of one deployment."""

    def download_link(self, key: str, seconds: float | None = None) -> str:
        """Return a presigned URL for GET, valid for `seconds`, by default S3_LINK_SECONDS. It is a secret until it
        expires."""
        ...

    def upload_link(self, key: str, terms: UploadTerms, seconds: float | None = None) -> str:
        """Return a presigned URL for a PUT on these terms, valid like that of `download_link`. `terms.once` needs a
        store that refuses existing objects."""
        ...

    def write_features(self) -> WriteFeatures:
        """Return what the store does with writes. The first call tries it."""
        ...

    def find(self, keys: Collection[str]) -> dict[str, StoredObject]:
        """Return the existing objects by key. Missing keys are left out."""
        ...

    def copy(self, source: StoredObject, key: str) -> str:
        """Copy an object within the store and return the copy's ETag.

        Many stores refuse to copy what no longer has the source's `etag`. Others copy it: compare.
        """
        ...

    def read(self, key: str) -> bytes:
        """Return the object's bytes. Raise NotFound when it does not exist."""
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Yield all objects whose key begins with `prefix`, in any order."""
        ...

    def delete(self, keys: Collection[str]) -> None:
        """Delete the objects. Ignore missing keys."""
        ...

    def fault(self) -> str | None:
        """Return why no object can be read now, as a sentence; None when the store answers. Raise nothing."""
        ...
