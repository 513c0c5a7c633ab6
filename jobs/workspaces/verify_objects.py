"""`verify_objects`: read stored objects slowly, each within VERIFY_DAYS, and tell which are missing, altered or
unreadable.

A save compares sizes and ETags only. Only this duty reads what was stored long ago.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog

from handlers.workspaces.object_reads import (
    ObjectFault,
    ObjectToRead,
    faulty_objects_to_read,
    look_at_objects,
    objects_to_read,
    record_object_read,
    session_to_read,
    sessions_to_look_at,
    share_of_pass,
    warn_of_faults,
)
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage, ObjectsUnavailable
from jobs.object_store.errors import StoreError, StoreErrorKind
from schema.errors import NotFound
from schema.isolation import isolated
from schema.wire import Wire

PASS_SECONDS = 600.0
"""How often a pass begins (jobs/tasks.py)."""

TRIES = 2
PASSING: frozenset[StoreErrorKind] = frozenset({"network", "timeout", "busy"})
"""The kinds of StoreError that the next object would likely meet too."""

_log = structlog.stdlib.get_logger(__name__)


class ObjectsVerified(Wire):
    """The counts of one pass: objects that were read, and new faults."""

    read: int = 0
    faults: int = 0


@dataclass(frozen=True)
class _Result:
    """The result of reading an object. After `ends_pass`, the other objects are left to the next pass."""

    fault: ObjectFault | None
    ends_pass: bool = False


def verify_objects(context: TaskContext) -> ObjectsVerified:
    """Read this pass's share, one object after the other. What a silent store leaves is for the next pass."""
    days, store = context.settings.verify_days, context.store
    if not days or store is None:
        return ObjectsVerified()
    read, new_faults = 0, defaultdict[UUID, list[str]](list)
    for wanted in _objects_to_read(context, days=days):
        result = None if context.closing.is_set() else _read(store, wanted)
        if result is None:
            break
        if _record(context, wanted, result.fault):
            new_faults[wanted.session_id].append(wanted.key)
        read += 1
        if result.ends_pass:
            break
    for session_id, keys in new_faults.items():
        with isolated("faults.not_warned_of", sessionId=session_id):
            context.database.transact(warn_of_faults, session_id, keys)
    return ObjectsVerified(read=read, faults=sum(map(len, new_faults.values())))


def _objects_to_read(context: TaskContext, *, days: float) -> Iterator[ObjectToRead]:
    """Yield what a pass reads, a session at a time: objects that waited longest, then those with a fault, each hour.

    Few sessions are looked at: each once a day, and those whose turn it is. The names of all at once would be many.
    """
    transact = context.database.transact
    for session_id in transact(sessions_to_look_at, pass_seconds=PASS_SECONDS):
        with isolated("objects.not_counted", sessionId=session_id):
            transact(look_at_objects, session_id)
    left = transact(share_of_pass, days=days, pass_seconds=PASS_SECONDS)
    seen = set[UUID]()
    while left > 0:
        next_id = transact(session_to_read, days=days)
        if next_id is None or next_id in seen:
            break
        seen.add(next_id)
        wanted = transact(objects_to_read, next_id, days=days, limit=left)
        yield from wanted
        transact(look_at_objects, next_id)  # after a pass that ends before this, it is the first once more
        left -= len(wanted)
    yield from transact(faulty_objects_to_read)


def _record(context: TaskContext, wanted: ObjectToRead, fault: ObjectFault | None) -> bool:
    """Return whether the object has a fault that was not known."""
    is_new = context.database.transact(record_object_read, wanted, fault)
    if is_new:
        _log.error("object.faulty", sessionId=str(wanted.session_id), key=wanted.key, fault=fault)
    return is_new


def _read(store: ObjectStorage, wanted: ObjectToRead) -> _Result | None:
    """Read an object, again when that fails once. Return None while the store delivers nothing at all."""
    ends_pass = False
    for _ in range(TRIES):
        try:
            is_right = hashlib.sha256(store.read(wanted.key)).hexdigest() == wanted.digest
        except NotFound:
            return _Result("missing")
        except ObjectsUnavailable as error:
            _log.warning("object.unread", key=wanted.key, why=error.detail)
            if store.fault() is not None:
                return None
            ends_pass = isinstance(error, StoreError) and error.kind in PASSING
        else:
            return _Result(None if is_right else "altered")
    return _Result("unreadable", ends_pass=ends_pass)
