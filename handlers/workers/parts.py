"""Report the parts that a run needs, and read what the job workers reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schema.sql import Conn, execute, fetch_all, fetch_value


@dataclass(frozen=True)
class PartState:
    """A part as job workers reported it lately. It is well when one of them has it well."""

    part: str
    is_well: bool


def report_parts(conn: Conn, job_worker: str, faults: Mapping[str, str | None]) -> None:
    """Record a job worker's parts: None for a part that is well, else what is wrong."""
    execute(conn, "report_parts", job_worker=job_worker, parts=list(faults), faults=list(faults.values()))


def parts_for_runs(conn: Conn, *, within_seconds: float) -> dict[str, PartState]:
    """Return the parts that job workers reported within so many seconds, by name."""
    return {state.part: state for state in fetch_all(conn, "parts_for_runs", PartState, seconds=within_seconds)}


def knows_a_provider(conn: Conn) -> bool:
    return bool(fetch_value(conn, "any_provider_is_known"))
