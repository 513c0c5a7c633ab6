"""Define answers of the routes of session workers."""

from __future__ import annotations

from schema.wire import Wire
from schema.worker_api import WorkerReport


class WorkersAnswer(Wire):
    items: list[WorkerReport]
