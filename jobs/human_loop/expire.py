"""Expire overdue requests every second: deny or escalate the request, or park its run."""

from __future__ import annotations

import structlog

from handlers.human_loop.expiry import expire, expired_requests
from jobs.context import TaskContext
from schema.isolation import isolated

_log = structlog.stdlib.get_logger(__name__)


def expire_requests(context: TaskContext) -> None:
    """Expire overdue requests. Several callers may run at once, and late: each request expires once."""
    for request_id in context.database.transact(expired_requests):
        with isolated("request.not_expired", requestId=request_id):
            outcome = context.database.transact(expire, request_id)
            if outcome is not None:
                _log.info("request.expired", requestId=str(request_id), outcome=outcome)
