"""`verify_objects`: read stored objects slowly, each within VERIFY_DAYS, and tell which are missing or altered.

A save compares sizes and ETags only. Only this duty reads what was stored long ago.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from uuid import UUID

import structlog

from handlers.workspaces.object_reads import (
    ObjectFault,
    ObjectToRead,
    objects_to_read,
    record_object_read,
    warn_of_faults,
)
from jobs.context import TaskContext
from jobs.object_store.contract import ObjectStorage, ObjectsUnavailable
from schema.errors import NotFound
from schema.wire import Wire

PASS_SECONDS = 600.0
"""How often a pass begins (jobs/tasks.py)."""

_log = structlog.stdlib.get_logger(__name__)


class ObjectsVerified(Wire):
    """The counts of one pass: objects that were read, and new faults."""

    read: int = 0
    faults: int = 0


def verify_objects(context: TaskContext) -> ObjectsVerified:
    """Read this pass's share, one object after the other. What a silent store leaves is for the next pass."""
    days, store = context.settings.verify_days, context.store
    if not days or store is None:
        return ObjectsVerified()
    read, new_faults = 0, defaultdict[UUID, list[str]](list)
    try:
        for wanted in context.database.transact(objects_to_read, days=days, pass_seconds=PASS_SECONDS):
            if context.closing.is_set():
                break
            if _verify(context, store, wanted):
                new_faults[wanted.session_id].append(wanted.key)
            read += 1
    except ObjectsUnavailable as error:
        _log.warning("objects.unread", why=error.detail)
    for session_id, keys in new_faults.items():
        context.database.transact(warn_of_faults, session_id, keys)
    return ObjectsVerified(read=read, faults=sum(map(len, new_faults.values())))


def _verify(context: TaskContext, store: ObjectStorage, wanted: ObjectToRead) -> bool:
    """Read one object and record it. Return whether it has a fault that was not known."""
    fault = _fault(store, wanted)
    is_new = context.database.transact(record_object_read, wanted, fault)
    if is_new:
        _log.error("object.faulty", sessionId=str(wanted.session_id), key=wanted.key, fault=fault)
    return is_new


def _fault(store: ObjectStorage, wanted: ObjectToRead) -> ObjectFault | None:
    try:
        data = store.read(wanted.key)
    except NotFound:
        return "missing"
    return None if hashlib.sha256(data).hexdigest() == wanted.digest else "altered"
