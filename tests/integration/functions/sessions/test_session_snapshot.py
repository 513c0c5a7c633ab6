"""A socket without a cursor begins with all that a page of the session shows."""

from __future__ import annotations

from hypothesis import given

from functions.sessions.presenters import transcript_part
from handlers.sessions.transcript import Event, Transcript
from handlers.sessions.transcript_cut import cut_item
from handlers.sessions.transcript_fold import fold
from handlers.sessions.transcript_rows import TranscriptPage
from tests.integration.functions.conftest import Served
from tests.integration.functions.readers import next_message, opened
from tests.thoroughness import chances
from tests.unit.handlers.sessions.generated_logs import logs


def test_a_snapshot_has_the_transcript_the_todos_and_the_queue(served: Served) -> None:
    driver = served.bind()
    todo = {"id": "a", "content": "Look", "status": "pending"}
    driver.report(
        driver.delta("Let me look."),
        driver.event("tool.call", toolCallId="c", title="Read", status="in_progress"),
        driver.event("todo.update", groupId="plan", items=[todo]),
    )
    with served.client() as client:
        client.post("/api/runs/start", json={"prompt": "later", "sessionId": str(driver.session_id)})
        read = client.get(f"/api/sessions/{driver.session_id}/transcript").json()
    with opened(served, driver) as ws:
        snapshot = next_message(ws)
    assert snapshot["transcript"]["items"] == read["items"]
    assert snapshot["transcript"]["items"][-1]["endedAt"] is None
    assert (snapshot["transcript"]["seq"], snapshot["users"]) == (snapshot["seq"], read["users"])
    assert [item["content"] for group in snapshot["todos"] for item in group["items"]] == ["Look"]
    assert [item["prompt"] for item in snapshot["queue"]] == ["later"]
    assert "worker" not in snapshot, "a bound run has none here"


@chances(40, 1000)
@given(log=logs)
def test_every_item_that_a_log_folds_to_fits_and_stays_as_it_is(log: list[Event]) -> None:
    items = [cut_item(item) for item in fold(Transcript(), log).items.values()]
    shown = transcript_part(TranscriptPage(items, {}, len(log), None)).to_json()
    assert shown["items"] == items
