"""Share between API processes which users read which session now. A process keeps its part alive by a lease."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from schema.sql import Conn, execute, fetch_all, fetch_the

LEASE_SECONDS = 6.0
"""A process that does not renew its lease for so long has gone, and its readers with it."""

PresentReader = tuple[UUID, UUID]
"""A session, and a user who reads it."""


@dataclass(frozen=True)
class PresenceLease:
    """`is_new`: the database has none of the process's readers. `has_others`: other processes live."""

    is_new: bool
    has_others: bool


@dataclass(frozen=True)
class ReaderElsewhere:
    session_id: UUID
    user_id: UUID
    name: str


def renew_presence(conn: Conn, process_id: UUID) -> PresenceLease:
    """Begin or renew the lease of the process, and forget processes that have gone."""
    return fetch_the(conn, "renew_presence", PresenceLease, process_id=process_id, lease_seconds=LEASE_SECONDS)


def change_readers(
    conn: Conn, process_id: UUID, *, entered: Collection[PresentReader], gone: Collection[PresentReader]
) -> None:
    """Write which readers came to the process and which left it."""
    for statement, readers in (("leave_sessions", gone), ("enter_sessions", entered)):
        if readers:
            session_ids, user_ids = zip(*sorted(readers), strict=True)
            execute(conn, statement, process_id=process_id, session_ids=list(session_ids), user_ids=list(user_ids))


def readers_elsewhere(conn: Conn, process_id: UUID, session_ids: Iterable[UUID]) -> list[ReaderElsewhere]:
    """Return who reads these sessions in other processes."""
    params = {"process_id": process_id, "session_ids": list(session_ids)}
    return fetch_all(conn, "readers_elsewhere", ReaderElsewhere, **params)


def end_presence(conn: Conn, process_id: UUID) -> None:
    """Say that the process stops."""
    execute(conn, "end_presence", process_id=process_id)
