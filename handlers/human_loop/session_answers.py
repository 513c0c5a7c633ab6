"""Let a lasting answer ("allow, always in this session") hold beyond the agent's process that received it.

Agents keep such an answer in their memory, and each run has an agent of its own. It holds for the very same call: how
far an option goes is said by its name, which is the agent's to choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pydantic import ValidationError

from handlers.enqueue import defer_delivery
from handlers.event_log import NewEvent, run_event
from schema.events import LONGEST_OPTION_NAME, HumanRequested, PermissionOption
from schema.executor_api import Answer
from schema.rows import HumanRequestRow, RunRow
from schema.sql import Conn, execute, fetch_all, jsonb
from schema.wire import Json

EARLIER = "A person allowed this for the session before."


def equal_open_requests(conn: Conn, request: HumanRequestRow) -> list[HumanRequestRow]:
    """Return the run's other open permissions for the very same call."""
    others = fetch_all(conn, "open_human_requests_of_run", HumanRequestRow, run_id=request.run_id)
    return [
        other
        for other in others
        if other.id != request.id and (other.kind, other.fingerprint) == (request.kind, request.fingerprint)
    ]


def decide_as_before(conn: Conn, run: RunRow, request: HumanRequested) -> list[NewEvent]:
    """Decide a request that was just stored as a person did for the same call in the session before.

    Enqueue the answer's delivery and return its event; nothing when no lasting answer covers it.
    """
    offered = [option for option in request.options or [] if option.kind == "allow_always" and not _may_be_cut(option)]
    if request.kind != "permission" or not offered:
        return []
    for earlier in fetch_all(
        conn, "lasting_answers", HumanRequestRow, session_id=run.session_id, provider=run.provider
    ):
        option = _chosen(earlier)
        if option in offered and earlier.fingerprint == request.fingerprint:
            return _decided(conn, run, request, option, by=str(earlier.decided_by))
    return []


def _chosen(earlier: HumanRequestRow) -> PermissionOption | None:
    """Return the lasting option that the answer chose, or None."""
    options = list(_readable(earlier.options or []))
    lasting = [option for option in options if option.kind == "allow_always"]
    chosen = Answer.model_validate(earlier.answer).option_id
    return next((option for option in lasting if chosen in (None, option.option_id)), None)


def _may_be_cut(option: PermissionOption) -> bool:
    """Return whether the name may be cut: it then does not say how far the option goes."""
    return len(option.name) >= LONGEST_OPTION_NAME


def _readable(options: Sequence[Json]) -> Iterator[PermissionOption]:
    """Yield the stored options, without those that an older release took and this one does not."""
    for option in options:
        with suppress(ValidationError):
            yield PermissionOption.model_validate(option)


def _decided(conn: Conn, run: RunRow, request: HumanRequested, option: PermissionOption, *, by: str) -> list[NewEvent]:
    answer = Answer(request_id=request.request_id, decision="allow_always", option_id=option.option_id).to_json()
    execute(conn, "answer_human_request", request_id=request.request_id, answer=jsonb(answer), decided_by=by)
    defer_delivery(conn, request.request_id)
    return [run_event(run, "human_loop.resolved", {**answer, "by": by, "reason": EARLIER}, author=by)]
