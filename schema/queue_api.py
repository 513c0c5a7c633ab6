"""Define the API's view of a session's queue."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from schema.wire import Json, Wire


class QueueItem(Wire):
    """A queued run.

    `revision` counts its edits and guards the next one. `attempts` above 0: the run has begun before and waits to
    continue; it cannot be edited or overtaken.
    """

    run_id: UUID
    session_id: UUID
    user_id: UUID
    provider: str
    prompt: str
    options: Json
    attachments: list[str] = Field(default_factory=list, description="Uploads that the prompt came with.")
    position: int = Field(description="Number of the session's runs before this one, including the live run.")
    revision: int
    attempts: int
    created_at: datetime
    held_by: Literal["system", "app", "user", "host", "store"] | None = Field(
        default=None,
        description="The limit on concurrent runs that throttles this run although it is due; `host`: no session "
        "worker can be started now; `store`: the workspace cannot be restored, as the object store does not answer.",
    )
    held_since: datetime | None = None
    held_position: int | None = Field(
        default=None, description="Number of runs that the same limit throttles before this one."
    )
