"""Tell a session's readers about work of the job worker that takes long: quick work leaves no event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
import structlog

from handlers.event_log import append_of_worker
from jobs.runtime.database import JobDatabase
from schema.errors import RunyardError
from schema.wire import Json

LATE_SECONDS = 1.0
_log = structlog.stdlib.get_logger(__name__)


@dataclass
class LateWork:
    """Work that began at `began` (monotonic seconds). `is_reported` once its event is in the log."""

    database: JobDatabase
    session_id: UUID
    began: float = field(default_factory=time.monotonic)
    is_reported: bool = False

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)

    def report(self, type_: str, data: Json) -> None:
        """Append an event. A failure is only logged: the work itself goes on."""
        try:
            self.database.transact(append_of_worker, self.session_id, type_, data)
            self.is_reported = True
        except (psycopg.Error, RunyardError) as error:
            _log.warning("late_event.lost", type=type_, why=str(error))


@contextmanager
def reporting_when_late(
    database: JobDatabase, session_id: UUID, type_: str, data: Callable[[], Json]
) -> Iterator[LateWork]:
    """Append an event of this type, with the data of that moment, if the block lasts longer than LATE_SECONDS."""
    work = LateWork(database, session_id)
    timer = threading.Timer(LATE_SECONDS, lambda: work.report(type_, data()))
    timer.daemon = True
    timer.start()
    try:
        yield work
    finally:
        timer.cancel()
        timer.join()
