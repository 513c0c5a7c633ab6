"""Collect garbage in the object store: mark objects that no snapshot names, and delete them after a grace period.

The holder of the session's sync lease does both, so no sync of the session runs meanwhile. A collector may lose its
lease without noticing; its objects then stay marked for deletion, and handlers/workspaces/sync.py commits no snapshot
that names a marked object. After the deletion the collector revokes the lease of the present holder.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.event_log import hold_session
from handlers.workspaces.object_reads import forget_object_reads
from handlers.workspaces.sync import SyncLease, renew_sync_lease
from schema.sql import Conn, execute, fetch_all, jsonb


@dataclass(frozen=True)
class Listed:
    """An object as the store lists it."""

    key: str
    last_modified: datetime


@dataclass(frozen=True, kw_only=True)
class GarbageRules:
    """`grace_seconds`: how long an object must have been unreferenced. `kept_days`: the age at which a mid-run snapshot
    may go although no quiesced snapshot replaced it, unless it is the run's last."""

    grace_seconds: float
    kept_days: int


@dataclass(frozen=True)
class _Id:
    id: UUID


@dataclass(frozen=True)
class _Key:
    key: str


@dataclass(frozen=True)
class _Session:
    session_id: UUID


def sessions_with_objects(conn: Conn) -> list[UUID]:
    """Return the sessions that may have objects in the store."""
    return [row.session_id for row in fetch_all(conn, "sessions_with_objects", _Session)]


def retire_snapshots(conn: Conn, lease: SyncLease, *, rules: GarbageRules, lock_seconds: float) -> int:
    """Retire superseded mid-run snapshots; return their number. The head and a run's last snapshot always stay.

    Forget the reads of objects that no snapshot names any more.
    """
    hold_session(conn, lease.session_id)
    if not renew_sync_lease(conn, lease, lock_seconds=lock_seconds):
        return 0
    retired = fetch_all(conn, "retire_snapshots", _Id, session_id=lease.session_id, kept_days=rules.kept_days)
    forget_object_reads(conn, lease.session_id)
    return len(retired)


def mark_for_deletion(
    conn: Conn, lease: SyncLease, listed: Collection[Listed], *, owner: str, rules: GarbageRules, lock_seconds: float
) -> list[str]:
    """Mark unreferenced objects of the listed; return the keys marked for the whole grace period, which the owner now
    deletes. `listed` are all objects of the session in the store, read under this lease."""
    hold_session(conn, lease.session_id)
    if not renew_sync_lease(conn, lease, lock_seconds=lock_seconds):
        return []
    rows = [{"key": object_.key, "last_modified": object_.last_modified.isoformat()} for object_ in listed]
    execute(conn, "mark_unreferenced", session_id=lease.session_id, listed=jsonb(rows), owner=owner)
    grace = rules.grace_seconds
    marked = fetch_all(conn, "mark_for_deletion", _Key, session_id=lease.session_id, owner=owner, grace_seconds=grace)
    return [row.key for row in marked]


def mark_damaged(conn: Conn, lease: SyncLease, keys: Collection[str], *, owner: str, lock_seconds: float) -> bool:
    """Mark damaged objects for deletion by the owner, also where snapshots name them. Return whether the lease holds:
    without it nothing is marked, and nothing may be deleted."""
    hold_session(conn, lease.session_id)
    if not renew_sync_lease(conn, lease, lock_seconds=lock_seconds):
        return False
    execute(conn, "mark_damaged", session_id=lease.session_id, keys=list(keys), owner=owner)
    return True


def forget_deleted(conn: Conn, lease: SyncLease, keys: Collection[str], *, owner: str, lock_seconds: float) -> None:
    """Forget keys deleted from the store. Revoke a lease taken meanwhile: its sync may have seen the objects."""
    hold_session(conn, lease.session_id)
    if not renew_sync_lease(conn, lease, lock_seconds=lock_seconds):
        execute(conn, "revoke_sync_lease", session_id=lease.session_id)
    execute(conn, "forget_deleted", session_id=lease.session_id, keys=list(keys), owner=owner)
