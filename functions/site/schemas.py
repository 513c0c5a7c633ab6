"""Define answers of /health and /ready."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from schema.wire import Request, Wire


class HealthAnswer(Wire):
    status: str
    version: str


class ReadyQuery(Request):
    """`for=runs` also wants all that a run needs, and answers 503 while one cannot start."""

    for_: Literal["requests", "runs"] = Field(default="requests", alias="for")


class ReadyAnswer(Wire):
    """`status` says whether this process serves requests, which it does without a job worker, too. `runs` says whether
    all that runs need is well: it is `held` unless `database`, `worker` and `providers` are ok, and `host`, `store` and
    `disk` are ok or unknown. A `disk` may be `low`; one that is `full` is not well. The `database` is `full` for 30 s
    after a call failed because its disk has no room."""

    status: str
    database: str
    migrations: str
    listening: str
    worker: str
    host: str
    store: str
    disk: str
    providers: str
    runs: str


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
