"""Query and answer of a session's transcript: one model for each kind of item."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, PlainSerializer

from functions.http.schemas import Cursor
from schema.events import Reason, Usage
from schema.wire import Json, Request, Wire


class TranscriptQuery(Request):
    """The newest items, or with `before` those that begin before an event."""

    before: Cursor | None = None
    limit: int = Field(default=60, ge=1, le=200)


class TranscriptItem(Wire):
    """`firstSeq` and `lastSeq` are the first and the last event of the item. `id` stays while the item grows."""

    id: str
    first_seq: int
    last_seq: int
    run_id: UUID | None = None
    at: datetime


class CutItem(TranscriptItem):
    """`isCut` when something longer than 8 KiB is cut. `whole` maps each cut field to the event that has all of it."""

    is_cut: bool | None = None
    whole: dict[str, int] | None = None


class PromptItem(TranscriptItem):
    """Stands where the run's turn came, not where the prompt was typed. `attachments`: uploads that it came with."""

    kind: Literal["prompt"]
    text: str
    author: str
    attachments: list[str] | None = None


class TextItem(TranscriptItem):
    kind: Literal["answer", "thought"]
    text: str
    is_done: bool


class ToolItem(CutItem):
    """`waitedMs` counts milliseconds of waiting for a person; `waitsSince` says since when it waits now. A diff that is
    cut says `cut`."""

    kind: Literal["tool"]
    tool_call_id: str
    title: str
    tool_kind: str
    status: str
    input: object = None
    output: object = None
    diffs: list[Json]
    locations: list[str]
    ended_at: datetime | None = None
    waited_ms: int
    waits_since: datetime | None = None


class AskedItem(CutItem):
    """A request to a person. `decision` and what follows are null until someone decides."""

    kind: Literal["asked"]
    request_id: str
    asks: Literal["permission", "question"]
    title: str
    tool_call: Json | None = None
    options: list[Json]
    schema_: Json | None = Field(default=None, alias="schema")
    expires_at: datetime | None = None
    on_expiry: str
    decision: str | None = None
    by: str | None = None
    reason: str | None = None
    answers: object = None
    decided_at: datetime | None = None
    told: str | None = None


class RunEndItem(TranscriptItem):
    kind: Literal["run"]
    status: str
    reason: Reason | None = None
    usage: Usage | None = None
    stop_reason: str | None = None
    started_at: datetime | None = None


class NoticeItem(CutItem):
    """An event shown as it is, such as `run.warning` or a type that this version does not know."""

    kind: Literal["notice"]
    type: str
    data: Json


def _as_folded(item: TranscriptItem) -> Json:
    """Keep what is null, such as an open call's `endedAt`: a reader continues the fold from it."""
    return item.model_dump(mode="json", by_alias=True, exclude_unset=True)


AnyItem = Annotated[
    PromptItem | TextItem | ToolItem | AskedItem | RunEndItem | NoticeItem,
    Field(discriminator="kind"),
    PlainSerializer(_as_folded),
]


class TranscriptPart(Wire):
    """Items in order. Read on in the log after `seq`. `prevCursor` is the `before` of the page before, absent at the
    log's beginning."""

    items: list[AnyItem]
    seq: int
    prev_cursor: int | None = None


class TranscriptAnswer(TranscriptPart):
    """A page of a transcript. `users` maps ids of users in the items to their names."""

    users: dict[UUID, str]
