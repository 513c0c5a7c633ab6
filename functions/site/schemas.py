"""Define answers of /health and /ready."""

from __future__ import annotations

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
