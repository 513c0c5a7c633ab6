"""Limit the events of one attempt: what comes after the limit is not stored, and stops the run."""

from __future__ import annotations

from collections.abc import Sequence

from handlers.event_log import NewEvent
from handlers.run_warnings import TOO_MANY_EVENTS, warn_once
from handlers.runs.stop import StopPolicy, stop
from schema.events import Reason, SourceEvent
from schema.rows import RunRow
from schema.sql import Conn, fetch_value

MOST_EVENTS = 1_000_000
"""Events of one attempt: by the source's numbers, or counted where a source does not number them."""
_REASON = Reason(
    code=TOO_MANY_EVENTS,
    message=f"The run has reported {MOST_EVENTS:,} events, the most that are stored. Later ones are left out, and the "
    "run is stopped.",
)


def is_beyond_limit(event: SourceEvent) -> bool:
    """Return whether the event has a number after the last one that is stored."""
    return event.n is not None and event.n > MOST_EVENTS


def events_to_store(conn: Conn, run: RunRow, fresh: Sequence[SourceEvent]) -> list[SourceEvent]:
    """Return the events within the limit, and the end of a run that has not ended."""
    kept = [event for event in fresh if not is_beyond_limit(event)]
    if kept and kept[0].n is None:
        kept = kept[: max(0, MOST_EVENTS - _stored(conn, run))]
    end = next((event for event in fresh if event.type == "run.finished"), None)
    return kept if end is None or end in kept or run.is_final else [*kept, end]


def stop_beyond_limit(conn: Conn, run: RunRow, policy: StopPolicy) -> list[NewEvent]:
    """Stop the run, and warn of it once. The caller has locked the session, and appends the events."""
    if run.is_final or run.status == "cancelling":
        return []
    warning = warn_once(conn, run, code=TOO_MANY_EVENTS, message=_REASON.message)
    return [*warning, *stop(conn, run, author="system", policy=policy, because=_REASON)]


def _stored(conn: Conn, run: RunRow) -> int:
    stored: int | None = fetch_value(conn, "events_of_run", run_id=run.id)
    return stored or 0
