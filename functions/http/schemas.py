"""Define types that bodies, queries and answers of several rooms share. An unknown key is an error."""

from __future__ import annotations

import re
from typing import Annotated

from flask import Response
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, model_validator

from schema.events import Envelope
from schema.wire import Page, Request, Text, Wire

MAX_SEQ = 2**63 - 1
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
LAST_EVENT_ID = r"^[0-9]{0,18}$"
IDEMPOTENCY_KEY = r"^[\x21-\x7e]{1,255}$"
PAGE_CURSOR = r"^[0-9]{1,17}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""The creation time of the page's last item, in microseconds since 1970, and its id. Any text that fits is a cursor."""
Cursor = Annotated[int, Field(ge=0, le=MAX_SEQ, description="The number (seq) of the last event that you have.")]


def is_a_number(value: object) -> object:
    """Refuse strings and booleans. JSON treats 5 and 5.0 as the same number, but not "5" or true."""
    if isinstance(value, (str, bool)):
        raise ValueError("must be a number")  # noqa: TRY004  pydantic reads ValueErrors
    return value


def is_rfc3339(value: object) -> object:
    """Refuse numbers: a moment is a text of RFC 3339, whatever else a parser would take for one."""
    if isinstance(value, str) and not _RFC3339.fullmatch(value):
        raise ValueError("must be a date and time as in RFC 3339")
    return value


def not_blank(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("must not be empty")
    return prompt


Prompt = Annotated[Text, Field(min_length=1, json_schema_extra={"pattern": r"\S"}), AfterValidator(not_blank)]
Whole = Annotated[int, BeforeValidator(is_a_number)]
Moment = Annotated[AwareDatetime, BeforeValidator(is_rfc3339)]
Title = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class Nothing(Request):
    """The body of a call without arguments: no body, or an empty object."""


class AfterQuery(Request):
    """Events after a number."""

    after: Cursor = 0
    limit: int = Field(default=200, ge=1, le=1000)


class EventsQuery(AfterQuery):
    """Events after a number, oldest first; or, with `before`, those before a number, newest first."""

    before: Cursor | None = None

    @model_validator(mode="after")
    def _goes_one_way(self) -> EventsQuery:
        if self.before is not None and "after" in self.model_fields_set:
            raise ValueError("after and before exclude each other")
        return self


class StreamQuery(Request):
    """`Last-Event-ID` wins over the cursor."""

    cursor: Cursor = 0


class SocketQuery(Request):
    """Without `after` the socket sends a snapshot first."""

    after: Cursor | None = None


class PageQuery(Page):
    """A newest-first page; `cursor` is the `nextCursor` of the page before."""

    cursor: str | None = Field(default=None, pattern=PAGE_CURSOR)


def answer(body: Wire, status: int = 200, **headers: str) -> Response:
    """Return the body as a JSON response. Write header names with underscores."""
    return Response(
        body.model_dump_json(by_alias=True, exclude_none=True),
        status=status,
        mimetype="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


class EventsAnswer(Wire):
    """`nextCursor` is set when more events may follow."""

    items: list[Envelope]
    next_cursor: int | None = None
