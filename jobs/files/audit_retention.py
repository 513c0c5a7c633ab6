"""Delete rows of the audit that are older than the setting keeps them."""

from __future__ import annotations

from functools import partial

import structlog

from handlers.files.audit import delete_old_file_audit
from jobs.context import TaskContext

BATCH_ROWS = 5000

_log = structlog.stdlib.get_logger(__name__)


def delete_old_audit(context: TaskContext) -> None:
    """Delete the old rows, in short transactions."""
    days, deleted = context.settings.file_audit_days, 0
    batch = partial(delete_old_file_audit, days=days, most=BATCH_ROWS)
    while days and not context.closing.is_set():
        count = context.database.transact(batch)
        deleted += count
        if count < BATCH_ROWS:
            break
    if deleted:
        _log.info("audit.old_rows_deleted", rows=deleted, older_than_days=days)
