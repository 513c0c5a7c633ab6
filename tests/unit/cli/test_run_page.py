"""`python -m cli show`: a question tells its deadline for as long as it waits."""

from __future__ import annotations

from cli.sessions.run_page import without_past_deadlines
from schema.wire import Json


def event(type_: str, request_id: str, **more: object) -> Json:
    return {"type": type_, "data": {"requestId": request_id, **more}}


def test_a_question_has_a_deadline_until_it_is_decided() -> None:
    asked = [event("human_loop.requested", name, expiresAt="2026-01-01T00:00:00Z", title=name) for name in "ab"]
    decided, ended = event("human_loop.resolved", "a"), {"type": "run.finished", "data": {"status": "succeeded"}}
    events = [*asked, decided, ended]
    assert list(without_past_deadlines(events)) == [
        event("human_loop.requested", "a", title="a"), asked[1], decided, ended,
    ]  # fmt: skip
    assert "expiresAt" in asked[0]["data"], "what the caller holds stays as it was"
