"""Report the parts that a run needs: the host, the object store and the disk.

/ready reads which parts are well. Operators read in the log what is wrong.
"""

from __future__ import annotations

import structlog

from handlers.workers.parts import report_parts
from jobs.context import TaskContext
from jobs.hosts.disk import low_disk
from jobs.object_store.writing import NOT_YET, StoreWriting
from jobs.runtime.settings import JobSettings

_log = structlog.stdlib.get_logger(__name__)


class PartReports:
    """A periodic task: write what is wrong with each part to the database, and log each change once."""

    def __init__(self, context: TaskContext, store: StoreWriting | None) -> None:
        self._context = context
        self._store = store
        self._known: dict[str, str | None] = {}

    def run_once(self) -> None:
        faults = {
            "host": self._context.host_condition.fault(),
            "store": self._store.fault if self._store else None,
            "disk": disk_fault(self._context.settings),
        }
        for part, fault in faults.items():
            before = self._known.get(part)
            if fault not in (None, NOT_YET, before):
                _log.error(f"alarm.{part}", why=fault)
            elif fault is None and before not in (None, NOT_YET):
                _log.info("part.well_again", part=part)
        self._known = faults
        self._context.database.transact(report_parts, self._context.claimer, faults)


def disk_fault(settings: JobSettings) -> str | None:
    """Say that the data folder's disk is nearly full; None on other hosts, which keep no data there."""
    if settings.worker_host != "process":
        return None
    return low_disk(settings.runyard_data_dir, below_mb=settings.disk_alarm_free_mb, setting="DISK_ALARM_FREE_MB")
