"""Bodies and answers of the routes of the signed-in user."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from functions.http.schemas import is_a_number
from handlers.access.permissions import Permission
from handlers.access.tokens import LONGEST_DAYS
from schema.rows import Role, SignInMethod
from schema.wire import Json, Request, Text, Wire


class MeAnswer(Wire):
    """`permissions` is what this sign-in or token may do; `signedInBy` is `bearer` for a token in the request."""

    user_id: UUID
    name: str
    role: Role
    permissions: list[str]
    signed_in_by: SignInMethod | Literal["bearer"]
    expires_at: datetime | None = None
    settings: Json


class SettingsAnswer(Wire):
    settings: Json


class NewTokenBody(Request):
    """`scopes` are permissions, by default all that you have; without `days` the token never expires."""

    label: Text = Field(min_length=1, max_length=200)
    scopes: Annotated[list[Permission], Field(min_length=1, max_length=100)] | None = None
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS), BeforeValidator(is_a_number)] | None = None


class TokenAnswer(Wire):
    """A token without its secret. Without `scopes` it may do whatever you may."""

    token_id: UUID
    label: str
    scopes: list[str] | None = None
    created_at: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


class IssuedTokenAnswer(TokenAnswer):
    """`token` is the secret: it is shown here and never again."""

    token: str


class TokensAnswer(Wire):
    items: list[TokenAnswer]
    next_cursor: str | None = None


class SignInAnswer(Wire):
    """A browser that is signed in; `current` is the one that asks."""

    sign_in_id: UUID
    method: SignInMethod
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


class SignInsAnswer(Wire):
    items: list[SignInAnswer]
    next_cursor: str | None = None
