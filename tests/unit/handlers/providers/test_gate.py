"""The gate of stop and remove, by the row alone: each thing that shuts it does so by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from handlers.workspaces.sync import why_unsaved
from schema.rows import SavingRow

SAVED = SavingRow(
    session_id=UUID(int=1),
    status="active",
    epoch=1,
    session_epoch=1,
    last_seq=9,
    dirty_since=None,
    dirty_seq=5,
    sync_claim=1,
    sync_failures=0,
    sync_error=None,
    next_sync_at=None,
    is_claimed=False,
    is_syncing=False,
    head_snapshot=UUID(int=2),
    head_seq=5,
    head_at_rest=True,
    live_run_id=None,
    run_id=None,
    traceparent=None,
    manifest={},
    unsaved_seconds=0,
    is_restored=True,
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"live_run_id": UUID(int=3)}, "live_run"),
        ({"is_syncing": True}, "syncing"),
        ({"dirty_since": datetime(2026, 1, 1, tzinfo=UTC)}, "unsaved"),
        ({"head_snapshot": None, "head_seq": None}, "never_saved"),
        ({"head_seq": 4}, "unsaved"),
        ({"head_at_rest": False}, "unsaved"),
        ({"dirty_seq": 0, "head_snapshot": None, "head_seq": None}, None),
    ],
)
def test_a_worker_with_something_unsaved_is_kept_and_says_why(changes: dict[str, object], code: str | None) -> None:
    why = why_unsaved(replace(SAVED, **changes))  # type: ignore[arg-type]
    assert (why.code if why else None) == code
    assert why_unsaved(replace(SAVED, **{**changes, "status": "absent"})) is None  # type: ignore[arg-type]
