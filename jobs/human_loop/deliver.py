"""`deliver_answer`: give a stored answer to the agent that asked. Repeated until one executor took or refused it."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import structlog

from handlers.human_loop.reply import AnswerDelivery, begin_delivery, void_answer
from jobs.context import TaskContext, trace_of
from jobs.runtime.executor_client import ExecutorError
from schema.errors import Unavailable

_log = structlog.stdlib.get_logger(__name__)


class ExecutorAway(Unavailable):
    """The executor that the answer is for does not answer now."""

    code: ClassVar[str] = "executor_unreachable"


def deliver_answer(context: TaskContext, request_id: UUID) -> None:
    """Raises ExecutorAway and ExecutorError: the job is tried again, later the reconciler takes care of it."""
    delivery = context.database.transact(begin_delivery, request_id)
    if delivery is None:
        return
    run = delivery.run
    with trace_of(run).in_logs():
        if not _is_taken(context, delivery):
            told = "nothing: the agent that asked has ended"
            context.database.transact(void_answer, request_id, told=told)


def _is_taken(context: TaskContext, delivery: AnswerDelivery) -> bool:
    """False when nobody waits for the answer any more."""
    facts = context.host.facts(delivery.run.session_id)
    if facts.state != "alive" or facts.endpoint is None:
        raise ExecutorAway
    try:
        context.executors.answer(facts.endpoint, delivery.run.id, delivery.answer, trace_of(delivery.run))
    except ExecutorError as error:
        if not error.is_refusal:
            raise
        _log.warning("answer.refused", status=error.status, why=error.detail)
        return False
    return True
