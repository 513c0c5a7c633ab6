"""Decide whether the executor accepts a start: the fences of claim, attempt and epoch. Pure."""

from __future__ import annotations

from uuid import UUID

from executor.runs.spool import SpooledRun
from schema.errors import Conflict, StaleAttempt, StaleClaim, StaleEpoch, WrongSession
from schema.executor_api import StartRun


class Busy(Conflict):
    """Another run of the session is running. Wait for it to end."""

    code = "busy"


def is_known_start(
    start: StartRun, known: SpooledRun | None, *, session_id: UUID, epoch: int, live_run_id: UUID | None
) -> bool:
    """Return True for an attempt that was accepted before, False for an attempt that may begin now.

    `epoch` is the highest epoch that this executor has seen. Raises WrongSession, StaleEpoch, StaleClaim, StaleAttempt
    or Busy.
    """
    if start.session_id != session_id:
        raise WrongSession
    if start.epoch < epoch:
        raise StaleEpoch
    if known is not None:
        if start.attempt == known.attempt and start.claim >= known.claim:
            return True
        if start.claim < known.claim or start.claim <= known.refused_claim:
            raise StaleClaim
        if start.attempt < known.attempt:
            raise StaleAttempt
    if live_run_id is not None and live_run_id != start.run_id:
        raise Busy
    return False
