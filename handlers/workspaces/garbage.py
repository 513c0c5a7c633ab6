"""Garbage in the object store: what no snapshot names any more is marked, and deleted after a grace period.

All of it is done by who has the session's turn, so that no save of the session goes on meanwhile. Should a collector
lose its turn without noticing, what it is about to delete is still marked as doomed, and no snapshot that names a
doomed object is committed (handlers/workspaces/sync.py); when it has deleted them, it revokes the turn of whoever
has it now.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.event_log import hold_session
from handlers.workspaces.sync import SyncLease, renew_sync_lease
from schema.sql import Conn, execute, fetch_all, jsonb


@dataclass(frozen=True)
class Listed:
    """An object as the store lists it."""

    key: str
    last_modified: datetime


@dataclass(frozen=True, kw_only=True)
class GarbageRules:
    """`grace_seconds`: how long an object must have been unnamed; `kept_days`: after how long a save in the middle of a
    run may go although none at rest has replaced it, if it is not the run's last."""

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
    """Those of which the store may hold something."""
    return [row.session_id for row in fetch_all(conn, "sessions_with_objects", _Session)]


def retire_snapshots(conn: Conn, turn: SyncLease, *, rules: GarbageRules, lock_seconds: float) -> int:
    """Let go of superseded saves in the middle of runs: how many. Never the head, nor the last of a run."""
    hold_session(conn, turn.session_id)
    if not renew_sync_lease(conn, turn, lock_seconds=lock_seconds):
        return 0
    return len(fetch_all(conn, "retire_snapshots", _Id, session_id=turn.session_id, kept_days=rules.kept_days))


def mark_for_deletion(
    conn: Conn, turn: SyncLease, listed: Collection[Listed], *, owner: str, rules: GarbageRules, lock_seconds: float
) -> list[str]:
    """Mark what of the listed objects no snapshot names; the keys that were marked for the whole grace period and are
    the owner's to delete now. `listed` is all that the store holds of the session, read during this turn."""
    hold_session(conn, turn.session_id)
    if not renew_sync_lease(conn, turn, lock_seconds=lock_seconds):
        return []
    rows = [{"key": each.key, "last_modified": each.last_modified.isoformat()} for each in listed]
    execute(conn, "mark_unreferenced", session_id=turn.session_id, listed=jsonb(rows), owner=owner)
    grace = rules.grace_seconds
    doomed = fetch_all(conn, "mark_for_deletion", _Key, session_id=turn.session_id, owner=owner, grace_seconds=grace)
    return [row.key for row in doomed]


def forget_deleted(conn: Conn, turn: SyncLease, keys: Collection[str], *, owner: str, lock_seconds: float) -> None:
    """They are gone from the store. A save that took the turn meanwhile may have seen them there: it does not count."""
    hold_session(conn, turn.session_id)
    if not renew_sync_lease(conn, turn, lock_seconds=lock_seconds):
        execute(conn, "revoke_sync_lease", session_id=turn.session_id)
    execute(conn, "forget_deleted", session_id=turn.session_id, keys=list(keys), owner=owner)
