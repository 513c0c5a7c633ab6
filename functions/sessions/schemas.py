"""Bodies, queries and answers of the routes of sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from functions.http.schemas import MAX_SEQ, PageQuery, Title, is_a_number
from schema.rows import RunStatus
from schema.wire import Flag, Request, Text, Wire


class OpenSessionBody(Request):
    title: Text = Field(default="", max_length=200)
    app_id: UUID | None = None


class EditSessionBody(Request):
    """Fields to change; absent fields stay. Pins and the archive are yours alone."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    title: Title | None = None
    pinned: Flag | None = None
    archived: Flag | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> EditSessionBody:
        if not self.model_fields_set:
            raise ValueError("must change something: title, pinned or archived")
        return self


class ReadBody(Request):
    """The number of the last event that you have seen."""

    seq: Annotated[int, Field(ge=0, le=MAX_SEQ), BeforeValidator(is_a_number)]


class SessionsQuery(PageQuery):
    """Which of your sessions to list. `q` is looked for in titles and prompts; `status` is `idle`, `queued` or the live
    run's. Without `archived` the archived ones are left out."""

    q: Text | None = Field(default=None, min_length=1, max_length=200)
    status: Literal["idle", "queued", "starting", "running", "waiting", "parked", "cancelling"] | None = None
    needs_me: bool = False
    app_id: UUID | None = None
    provider: Text | None = Field(default=None, min_length=1, max_length=100)
    archived: bool = False
    pinned: bool | None = None
    sort: Literal["created", "activity"] = "created"


class LiveRunAnswer(Wire):
    run_id: UUID
    provider: str
    status: RunStatus
    started_at: datetime | None = None


class LastAnswer(Wire):
    """The last line of the session: the oldest open question, else the newest prompt."""

    type: Literal["question", "prompt"]
    text: str


class SavedAnswer(Wire):
    """Up to where the workspace is saved. `savedUpToRunNumber` counts the session's runs from 1. `unsavedFiles` is left
    out when they were never counted."""

    is_saved: bool
    saved_up_to_run_number: int | None = None
    unsaved_files: int | None = None


class CostAnswer(Wire):
    currency: str
    amount: float


class SessionUsageAnswer(Wire):
    """The sum over the session's settled runs; a number that no run reported is left out. `withoutCost` counts runs
    whose cost is unavailable."""

    runs: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_read_tokens: int | None = None
    cached_write_tokens: int | None = None
    cost: list[CostAnswer]
    without_cost: int


class SessionAnswer(Wire):
    """A session as your list shows it. `status` is the live run's, else `queued` or `idle`; `unread` counts the runs
    that ended after `readSeq`; `needsMe` counts the open questions."""

    session_id: UUID
    title: str
    app_id: UUID
    owner_id: UUID
    created_at: datetime
    updated_at: datetime
    last_seq: int
    epoch: int
    trust_workspace: bool = Field(
        description="Whether the app lets files of the workspace start programs and change what is asked."
    )
    status: str
    live: LiveRunAnswer | None = None
    queued: int
    needs_me: int
    unread: int
    read_seq: int
    last_activity_at: datetime
    last: LastAnswer | None = None
    provider: str | None = Field(default=None, description="Of the newest run.")
    saved: SavedAnswer
    usage: SessionUsageAnswer
    pinned: bool
    archived: bool


class SessionsAnswer(Wire):
    items: list[SessionAnswer]
    next_cursor: str | None = None
