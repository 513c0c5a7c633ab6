"""Carry answers that an earlier attempt of a run did not receive to its next attempt."""

from __future__ import annotations

from schema.executor_api import Answer, CarriedAnswer
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, fetch_all


def carry_answers(conn: Conn, run: RunRow) -> list[CarriedAnswer]:
    """Return answers that people gave after the asking attempt had ended; an empty list for a first attempt."""
    if run.attempt == 1:
        return []
    answered = fetch_all(conn, "carry_answers", HumanRequestRow, run_id=run.id, attempt=run.attempt)
    return [
        CarriedAnswer(
            request_id=request.id,
            fingerprint=request.fingerprint,
            title=request.title,
            answer=Answer.model_validate(request.answer),
        )
        for request in answered
    ]
