"""Record warnings of a run: each is an event of its log, and one of a bounded list that its answers show."""

from __future__ import annotations

from handlers.event_log import NewEvent, run_event
from schema.events import RunWarning
from schema.rows import RunRow
from schema.sql import Conn, execute, jsonb
from schema.wire import Json

TOO_MANY_EVENTS = "too_many_events"
MOST_WARNINGS = 100
"""Warnings of an agent that a run's row keeps. The log has all."""
MOST_OWN_WARNINGS = 10
"""Warnings by code that Runyard adds once each, also to a list that an agent filled."""
LONGEST_CODE = 100
"""Characters of a code that a run's row keeps."""
LONGEST_MESSAGE = 2000
"""Characters of a warning or reason that a run's row keeps."""


def record_warning(conn: Conn, run: RunRow, *, code: str, message: str, most: int = MOST_WARNINGS) -> Json:
    """Add the warning to the run's list, shortened, unless the list is full; return it as it was added."""
    warning = RunWarning(code=code[:LONGEST_CODE], message=message[:LONGEST_MESSAGE]).to_json()
    execute(conn, "add_warning", run_id=run.id, warning=jsonb(warning), most=most)
    return warning


def warn_once(conn: Conn, run: RunRow, *, code: str, message: str) -> list[NewEvent]:
    """Warn by an event of the run, unless its list has a warning with the code.

    The caller has locked the session, and appends the event.
    """
    most = MOST_WARNINGS + MOST_OWN_WARNINGS
    if len(run.warnings) >= most or any(warning["code"] == code for warning in run.warnings):
        return []
    return [run_event(run, "run.warning", record_warning(conn, run, code=code, message=message, most=most))]
