"""Refuse to start with a secret key that does not fit what is running, unless the loss is accepted.

With a wrong key every executor would refuse the job worker, and the API every callback: runs would fail and answers
would be void.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from handlers.access.secret_key import (
    OtherKeyUses,
    SecretKeyUnfit,
    WorkerWithOtherKey,
    forget_other_keys,
    losses_of,
    other_key_uses,
    refusal_of,
)
from jobs.context import TaskContext
from jobs.hosts import HostFailed

_log = structlog.stdlib.get_logger(__name__)


def check_secret_key(context: TaskContext, *, accept_loss: bool, say: Callable[[str], None]) -> None:
    """Raise SecretKeyUnfit when running executors or bound runs need another key. With `accept_loss`, `say` what is
    lost, and stop those executors in order: their spools keep all events."""
    found = context.database.transact(other_key_uses, context.settings.secret_keys.ids)
    uses = OtherKeyUses([worker for worker in found.workers if _may_run(context, worker)], found.bound_runs)
    if uses and not accept_loss:
        raise SecretKeyUnfit(refusal_of(uses))
    if uses:
        say(losses_of(uses))
    for worker in uses.workers:
        _stop(context, worker)
    context.database.transact(forget_other_keys, OtherKeyUses(found.workers, uses.bound_runs))


def _may_run(context: TaskContext, worker: WorkerWithOtherKey) -> bool:
    """Whether the worker's executor may run. The next executor gets a token of the current key."""
    return worker.host != context.host.name or not context.host.is_dead(worker.session_id)


def _stop(context: TaskContext, worker: WorkerWithOtherKey) -> None:
    if worker.host != context.host.name:
        return
    try:
        context.host.stop(worker.session_id)
    except HostFailed as error:
        _log.warning("worker.not_stopped", sessionId=str(worker.session_id), why=error.detail)
