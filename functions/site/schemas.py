"""Answers of /health and /ready."""

from __future__ import annotations

from schema.wire import Wire


class HealthAnswer(Wire):
    status: str
    version: str


class ReadyAnswer(Wire):
    """`worker` does not decide: the API takes runs while the job worker is away, and says so here."""

    status: str
    database: str
    migrations: str
    listening: str
    worker: str
