"""Define answers of the routes of session workers."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from schema.wire import Request, Wire
from schema.worker_api import WorkerReport


class WorkersAnswer(Wire):
    """A page of workers, by session. `nextCursor` is there when there may be more."""

    items: list[WorkerReport]
    next_cursor: UUID | None = None


class WorkersQuery(Request):
    """A page of workers; `cursor` is the `nextCursor` of the page before."""

    cursor: UUID | None = None
    limit: int = Field(default=50, ge=1, le=500)
