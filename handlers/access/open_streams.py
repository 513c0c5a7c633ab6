"""Check at once whether the readers of all open streams may still read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from schema.errors import NotFound, RunyardError, Unauthenticated
from schema.sql import Conn, fetch_all


@dataclass(frozen=True)
class OpenStream:
    """The access of an open stream: a sign-in or a token, and a session; None where it reads no session."""

    credential_id: UUID
    session_id: UUID | None


@dataclass(frozen=True)
class _Ended:
    credential_id: UUID
    session_id: UUID | None
    is_signed_in: bool


def streams_to_end(conn: Conn, streams: Sequence[OpenStream]) -> list[tuple[OpenStream, RunyardError]]:
    """Return the streams that must end: Unauthenticated for a credential that has ended or whose user is disabled,
    NotFound for a session that was deleted or may not be seen any more."""
    ended = fetch_all(
        conn,
        "streams_to_end",
        _Ended,
        credential_ids=[stream.credential_id for stream in streams],
        session_ids=[stream.session_id for stream in streams],
    )
    return [(OpenStream(row.credential_id, row.session_id), _fault(row)) for row in ended]


def _fault(row: _Ended) -> RunyardError:
    if row.is_signed_in:
        return NotFound("There is no such session.", code="unknown_session")
    return Unauthenticated("The login has ended.")
