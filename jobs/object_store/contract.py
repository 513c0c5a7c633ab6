"""What jobs need of the object store; jobs/object_store/s3.py does it. All of it blocks, and raises
ObjectsUnavailable."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from schema.errors import Unavailable


class ObjectsUnavailable(Unavailable):
    """The object store does not do what it was asked for now."""

    code: ClassVar[str] = "object_store_unavailable"


@dataclass(frozen=True)
class StoredObject:
    """One object of the store: `size` in bytes."""

    key: str
    size: int
    last_modified: datetime


class ObjectStorage(Protocol):
    """The objects of one deployment."""

    def link(self, method: str, key: str, seconds: float) -> str:
        """An address that does one thing for some seconds without a credential. It is a secret meanwhile."""
        ...

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """In bytes; without those that are not there."""
        ...

    def read(self, key: str) -> bytes:
        """The whole object. Raises NotFound when it is not there."""
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All whose key begins with it, in no promised order."""
        ...

    def delete(self, keys: Collection[str]) -> None:
        """What is not there already is no error."""
        ...
