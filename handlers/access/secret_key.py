"""Find what depends on a secret key that this deployment no longer has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from schema.settings import BadSetting
from schema.sql import Conn, execute, fetch_all


@dataclass(frozen=True)
class WorkerWithOtherKey:
    session_id: UUID
    host: str


@dataclass(frozen=True)
class OtherKeyUses:
    """Session workers whose executor may expect a token of another key, and live bound runs that sign with one."""

    workers: list[WorkerWithOtherKey]
    bound_runs: list[UUID]

    def __bool__(self) -> bool:
        return bool(self.workers or self.bound_runs)


class SecretKeyUnfit(BadSetting):
    """RUNYARD_SECRET_KEY is not the key of what is running."""

    code: ClassVar[str] = "secret_key_unfit"


def other_key_uses(conn: Conn, key_ids: Collection[str]) -> OtherKeyUses:
    """Return what was started with a key that is none of these."""
    keys = list(key_ids)
    return OtherKeyUses(
        fetch_all(conn, "workers_with_other_key", WorkerWithOtherKey, key_ids=keys),
        [run.id for run in fetch_all(conn, "bound_runs_with_other_key", _Id, key_ids=keys)],
    )


def forget_other_keys(conn: Conn, uses: OtherKeyUses) -> None:
    """Record that nothing depends on the other key any more, so that every program starts with the present one."""
    execute(conn, "forget_worker_keys", session_ids=[worker.session_id for worker in uses.workers])
    execute(conn, "forget_bound_run_keys", run_ids=uses.bound_runs)


def refusal_of(uses: OtherKeyUses) -> str:
    """Return why a program does not start, and what to do."""
    return (
        f"RUNYARD_SECRET_KEY is not the key of {_counted(uses)}. Set RUNYARD_SECRET_KEY_PREVIOUS to the key that it "
        f"replaces, so that nothing is lost. Or start the job worker (or make up) with --accept-loss. {losses_of(uses)}"
    )


def losses_of(uses: OtherKeyUses) -> str:
    """Return what `--accept-loss` loses, in plain words."""
    losses = []
    if uses.workers:
        losses.append(
            f"{_count(len(uses.workers), 'session worker')} will be stopped. Their agents end in the middle of their "
            "work: a run at work is resumed, or fails where it cannot. Workspaces and open questions stay."
        )
    if uses.bound_runs:
        losses.append(
            f"{_count(len(uses.bound_runs), 'bound run')} will be refused, and then fail, until their callback key is "
            "rotated (POST /api/runs/{runId}/bind/rotate)."
        )
    return " ".join(["What will be lost:", *losses, "Signed-in browsers must sign in again."])


def _counted(uses: OtherKeyUses) -> str:
    parts = [(len(uses.workers), "running session worker"), (len(uses.bound_runs), "live bound run")]
    return " and ".join(_count(number, noun) for number, noun in parts if number)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class _Id:
    id: UUID
