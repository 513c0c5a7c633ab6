"""`deliver_answer`: deliver a stored answer to its agent. It retries until the executor accepts or refuses it."""

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
    """The answer's executor is unreachable now."""

    code: ClassVar[str] = "executor_unreachable"


def deliver_answer(context: TaskContext, request_id: UUID) -> None:
    """Deliver an answer. Raise ExecutorAway and ExecutorError: the job retries, later the reconciler delivers it."""
    delivery = context.database.transact(begin_delivery, request_id)
    if delivery is None:
        return
    run = delivery.run
    with trace_of(run).in_logs():
        if not _is_accepted(context, delivery):
            outcome = "nothing: the agent that asked has ended"
            context.database.transact(void_answer, request_id, told=outcome)


def _is_accepted(context: TaskContext, delivery: AnswerDelivery) -> bool:
    """Send the answer. Return False when the executor refuses it: the agent no longer waits."""
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
