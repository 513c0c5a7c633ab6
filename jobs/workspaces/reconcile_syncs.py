"""Reconcile overdue syncs: make the sessions due whose changes waited too long and have no sync pending."""

from __future__ import annotations

from collections import Counter

import structlog

from handlers.workspaces.overdue_syncs import OverdueSync, make_due, overdue_syncs
from jobs.context import TaskContext
from schema.job_results import ReconciledSync, SyncReconciliation

_log = structlog.stdlib.get_logger(__name__)


def reconcile_syncs(context: TaskContext) -> SyncReconciliation:
    """Run one pass. Several job workers may run it at once."""
    overdue = context.database.transact(overdue_syncs, dirty_seconds=context.settings.sync_dirty_seconds)
    made_due = context.database.transact(
        make_due, [session.session_id for session in overdue if not session.is_syncing]
    )
    reasons = [_reconciled(session, is_asked=session.session_id in made_due) for session in overdue]
    counts: Counter[str] = Counter(done.action for done in reasons)
    if made_due:
        _log.warning("syncs.overdue", asked=len(made_due))
    return SyncReconciliation(scanned=len(overdue), reasons=reasons, **counts)


def _reconciled(overdue: OverdueSync, *, is_asked: bool) -> ReconciledSync:
    if overdue.is_syncing:
        return ReconciledSync(
            session_id=overdue.session_id, action="syncing", reason="A sync of the worker is running."
        )
    if is_asked:
        reason = "The changes waited too long without a pending sync."
        return ReconciledSync(session_id=overdue.session_id, action="asked", reason=reason)
    failed = f"The last {overdue.failures} syncs failed: {overdue.error}" if overdue.failures else "A sync is due."
    at = f" The next sync starts at {overdue.next_sync_at:%H:%M:%S} UTC." if overdue.next_sync_at else ""
    return ReconciledSync(session_id=overdue.session_id, action="waiting", reason=failed + at)
