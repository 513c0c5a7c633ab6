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
    """An object of the store: `size` in bytes."""

    key: str
    size: int
    last_modified: datetime


class ObjectStorage(Protocol):
    """The objects of one deployment."""

    def link(self, method: str, key: str, seconds: float | None = None) -> str:
        """Return a presigned URL for one GET or PUT, valid for `seconds`, by default S3_LINK_SECONDS. It is a secret
        until it expires."""
        ...

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """Return the sizes in bytes of the existing keys. Missing keys are left out."""
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
