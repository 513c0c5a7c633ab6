"""Define bodies and answers of the routes of sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from functions.http.schemas import Title
from schema.wire import Request, Text, Wire


class OpenSessionBody(Request):
    title: Text = Field(default="", max_length=200)
    app_id: UUID | None = None


class RenameSessionBody(Request):
    title: Title


class SessionAnswer(Wire):
    session_id: UUID
    title: str
    app_id: UUID
    owner_id: UUID
    created_at: datetime
    updated_at: datetime
    last_seq: int
    epoch: int


class SessionsAnswer(Wire):
    items: list[SessionAnswer]
    next_cursor: str | None = None
