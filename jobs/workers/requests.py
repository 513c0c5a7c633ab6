"""What the API and the command line ask of session workers (`operations` rows): arguments in, results out."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from handlers.workers.retirement import FORCE
from jobs.context import TaskContext
from jobs.workers.activate import use_worker
from jobs.workers.retirement import (
    SOMEBODY,
    Removed,
    RemoveSweep,
    StopSweep,
    force_remove_worker,
    remove_stopped,
    remove_worker,
    stop_idle,
)
from jobs.workspaces.sync import save_now
from schema.errors import Conflict
from schema.wire import Json, Request, Text, Wire


class OneWorker(Request):
    session_id: UUID
    actor: Text = Field(default=SOMEBODY, max_length=200)


class Sweep(Request):
    """All workers, or that of one session, which then does not have to wait for its limit."""

    session_id: UUID | None = None
    actor: Text = Field(default=SOMEBODY, max_length=200)


class Removal(Request):
    """`force` is the named word; then `reason` is written down, and only what was there in `epoch` is removed."""

    session_id: UUID
    epoch: int | None = None
    force: Literal["lose-unsaved-changes"] | None = None
    reason: Text = Field(default="", max_length=1000)
    actor: Text = Field(default=SOMEBODY, max_length=200)


class Active(Wire):
    session_id: UUID
    status: Literal["active"] = "active"
    epoch: int


class Saved(Wire):
    """`snapshot_id` holds the session's newest state; none when there was nothing to save."""

    session_id: UUID
    snapshot_id: UUID | None = None


class WorkerKept(Wire):
    """It was not removed, and why."""

    session_id: UUID
    kept: str


def activate_worker(context: TaskContext, arguments: Json) -> Active:
    asked = OneWorker.model_validate(arguments)
    return Active(session_id=asked.session_id, epoch=use_worker(context, asked.session_id, actor=asked.actor).epoch)


def sync_worker(context: TaskContext, arguments: Json) -> Saved:
    asked = OneWorker.model_validate(arguments)
    return Saved(session_id=asked.session_id, snapshot_id=save_now(context, asked.session_id, "requested"))


def stop_idle_workers(context: TaskContext, arguments: Json) -> StopSweep:
    asked = Sweep.model_validate(arguments)
    return stop_idle(context, asked.session_id, actor=asked.actor)


def remove_stopped_workers(context: TaskContext, arguments: Json) -> RemoveSweep:
    asked = Sweep.model_validate(arguments)
    return remove_stopped(context, asked.session_id, actor=asked.actor)


def remove_one_worker(context: TaskContext, arguments: Json) -> Removed | WorkerKept:
    """An operation's error is for what could not be done; that a worker is kept is an answer."""
    asked = Removal.model_validate(arguments)
    try:
        if asked.force == FORCE:
            return force_remove_worker(
                context, asked.session_id, actor=asked.actor, reason=asked.reason, epoch=asked.epoch
            )
        return remove_worker(context, asked.session_id, actor=asked.actor)
    except Conflict as error:
        return WorkerKept(session_id=asked.session_id, kept=error.detail)
