"""Whether a start request may be taken. Pure: the fences of claim, attempt and epoch in one place."""

from __future__ import annotations

from uuid import UUID

from executor.runs.spool import SpooledRun
from schema.errors import Conflict, StaleAttempt, StaleClaim, StaleEpoch, WrongSession
from schema.executor_api import StartRun


class Busy(Conflict):
    """Another run of the session lives here."""

    code = "busy"


def is_known_start(
    start: StartRun, known: SpooledRun | None, *, session_id: UUID, epoch: int, live_run_id: UUID | None
) -> bool:
    """True for an attempt that was taken before; False for one to begin now; else a Conflict that says why not.

    `epoch` is the highest that this executor has seen.
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
