"""Every second: requests whose time is over are denied in nobody's name, escalated, or their runs parked."""

from __future__ import annotations

import structlog

from handlers.human_loop.expiry import expire, expired_requests
from jobs.context import TaskContext

_log = structlog.stdlib.get_logger(__name__)


def expire_requests(context: TaskContext) -> None:
    """Safe to be done by several at once, and late: each request expires once."""
    for request_id in context.database.transact(expired_requests):
        done = context.database.transact(expire, request_id)
        if done is not None:
            _log.info("request.expired", requestId=str(request_id), outcome=done)
