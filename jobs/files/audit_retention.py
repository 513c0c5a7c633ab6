"""Delete rows of both audits that are older than the settings keep them."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import structlog

from handlers.files.audit import delete_old_file_audit
from handlers.workers.rows import delete_old_audit_log
from jobs.context import TaskContext
from schema.sql import Conn

BATCH_ROWS = 5000

_log = structlog.stdlib.get_logger(__name__)


class DeleteBatch(Protocol):
    def __call__(self, conn: Conn, *, days: int, most: int) -> int: ...


def delete_old_audit(context: TaskContext) -> None:
    """Delete the old rows, in short transactions: calls about files, then what operators and Runyard did to workers."""
    _delete_old(context, delete_old_file_audit, days=context.settings.file_audit_days, event="audit.old_rows_deleted")
    _delete_old(context, delete_old_audit_log, days=context.settings.audit_log_days, event="audit_log.old_rows_deleted")


def _delete_old(context: TaskContext, delete: DeleteBatch, *, days: int, event: str) -> None:
    deleted = 0
    batch = partial(delete, days=days, most=BATCH_ROWS)
    while days and not context.closing.is_set():
        count = context.database.transact(batch)
        deleted += count
        if count < BATCH_ROWS:
            break
    if deleted:
        _log.info(event, rows=deleted, older_than_days=days)
