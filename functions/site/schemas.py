"""Define answers of /health and /ready."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schema.wire import Wire


class HealthAnswer(Wire):
    status: str
    version: str


class ReadyAnswer(Wire):
    """`worker` does not decide readiness: without a job worker the API still accepts runs."""

    status: str
    database: str
    migrations: str
    listening: str
    worker: str


class SignInMethodAnswer(Wire):
    """`url` is where the method begins; `code` needs the address that `make up` prints."""

    method: Literal["code", "token", "oidc"]
    url: str
    title: str | None = None


class SignInMethodsAnswer(Wire):
    items: list[SignInMethodAnswer]


class SignedInAnswer(Wire):
    """`next` is a path of this origin."""

    next: str
    expires_at: datetime
