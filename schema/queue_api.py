"""What the API tells of a session's queue."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.wire import Json, Wire


class QueueItem(Wire):
    """A queued run. `revision` counts its edits and guards the next one. `attempts` above 0: it has begun before, waits
    to go on, and cannot be edited or overtaken."""

    run_id: UUID
    session_id: UUID
    user_id: UUID
    provider: str
    prompt: str
    options: Json
    position: int = Field(description="Runs of the session before this one, the live one included.")
    revision: int
    attempts: int
    created_at: datetime
    held_by: Literal["system", "app", "user"] | None = Field(
        default=None, description="The limit on runs at a time that keeps it here although it is due."
    )
    held_since: datetime | None = None
    held_position: int | None = Field(default=None, description="Runs that the same limit holds before this one.")
