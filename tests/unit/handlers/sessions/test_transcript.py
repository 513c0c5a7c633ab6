"""A log folds to the same transcript however it is cut, and recorded logs fold to the items that the portal expects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.sessions.transcript import Event, Transcript, event_of, is_open, needed, restored
from handlers.sessions.transcript_cut import MOST_BYTES, cut_item
from handlers.sessions.transcript_fold import fold
from schema.wire import Json
from tests.record_logs.folded import stored
from tests.record_logs.generated import KEPT
from tests.record_logs.scenes import SCENES
from tests.structure.repository import ROOT
from tests.thoroughness import chances
from tests.unit.handlers.sessions.generated_logs import logs

RECORDED = sorted((ROOT / "portal/tests/logs").glob("*.jsonl"))
RUN = "00000000-0000-4000-8000-00000000000a"


def items_of(transcript: Transcript) -> list[Json]:
    return sorted((cut_item(item) for item in transcript.items.values()), key=lambda item: int(item["firstSeq"]))


def event(seq: int, type_: str, *, run_id: str = RUN, author: str = "executor", **data: object) -> Event:
    at = f"2026-01-01T00:00:{seq:02}Z"
    return Event(seq=seq, type=type_, author=author, at=at, run_id=run_id, data=data)


@chances(60, 2000)
@given(log=logs, cut=st.integers(0, 60))
def test_a_prefix_continued_is_the_whole(log: list[Event], cut: int) -> None:
    whole = fold(Transcript(), log)
    continued = fold(fold(Transcript(), log[:cut]), log[cut:])
    assert (items_of(continued), continued.state()) == (items_of(whole), whole.state())


@chances(60, 2000)
@given(log=logs, cuts=st.lists(st.integers(0, 60), max_size=6).map(sorted))
def test_stored_items_continued_with_what_is_needed_are_the_whole(log: list[Event], cuts: list[int]) -> None:
    whole = fold(Transcript(), log)
    stored: dict[str, Json] = {}
    seq, state = 0, json.dumps(Transcript().state())
    for begin, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        part = log[begin:end]
        read = [item for item in stored.values() if is_open(item) or item["id"] in needed(part)]
        transcript = fold(restored(seq, json.loads(state), read), part)
        stored |= {id_: cut_item(transcript.items[id_]) for id_ in transcript.changed}
        seq, state = transcript.seq, json.dumps(transcript.state())
    assert sorted(stored.values(), key=lambda item: int(item["firstSeq"])) == items_of(whole)


@chances(30, 500)
@given(log=logs)
def test_events_that_come_again_change_nothing(log: list[Event]) -> None:
    once = fold(Transcript(), log)
    assert items_of(fold(fold(Transcript(), log), log)) == items_of(once)


@chances(30, 500)
@given(log=logs)
def test_each_item_begins_with_an_event_of_its_own(log: list[Event]) -> None:
    items = items_of(fold(Transcript(), log))
    assert len({item["firstSeq"] for item in items}) == len(items)


def recorded(log: Path) -> list[Event]:
    return [event_of(json.loads(line)) for line in log.read_text().splitlines()]


def test_logs_of_all_agents_are_recorded() -> None:
    assert {log.stem for log in RECORDED} >= {
        f"{agent}-{scene}" for agent, scenes in SCENES.items() for scene in scenes
    }


@pytest.mark.parametrize("log", RECORDED, ids=lambda log: log.stem)
def test_a_recorded_log_folds_to_its_items(log: Path) -> None:
    transcript = fold(Transcript(), recorded(log))
    assert items_of(transcript) == json.loads(log.with_suffix(".items.json").read_text())
    assert not transcript.queue
    assert not [item for item in transcript.items.values() if is_open(item)]


@pytest.mark.parametrize("log", RECORDED, ids=lambda log: log.stem)
def test_a_recorded_log_continues_at_any_cut(log: Path) -> None:
    events = recorded(log)
    whole = fold(Transcript(), events)
    for cut in range(len(events)):
        continued = fold(fold(Transcript(), events[:cut]), events[cut:])
        assert (items_of(continued), continued.state()) == (items_of(whole), whole.state())


@pytest.mark.parametrize("log", RECORDED, ids=lambda log: log.stem)
def test_what_is_stored_at_a_cut_continues_to_the_same_items(log: Path) -> None:
    events = recorded(log)
    for cut in json.loads(log.with_suffix(".cuts.json").read_text()):
        assert stored(fold(Transcript(), events[: cut["seq"]])) == cut
        continued = fold(restored(cut["seq"], cut, cut["items"]), events[cut["seq"] :])
        assert items_of(continued) == items_of(fold(Transcript(), events))


def test_generated_logs_fold_to_what_the_portal_is_held_to() -> None:
    logs_of_portal = json.loads((ROOT / "portal/tests/generated_logs.json").read_text())
    assert len(logs_of_portal) == KEPT
    for log in logs_of_portal:
        folded = stored(fold(Transcript(), [event_of(envelope) for envelope in log.pop("events")]))
        assert folded == log


def test_an_end_that_comes_too_late_changes_nothing() -> None:
    log = [
        event(1, "run.queued", prompt="first"),
        event(2, "run.finished", status="failed", reason={"code": "agent_lost", "message": "Lost."}),
        event(3, "run.finished", status="succeeded"),
    ]
    (end,) = [item for item in items_of(fold(Transcript(), log)) if item["kind"] == "run"]
    assert (end["status"], end["lastSeq"]) == ("failed", 2)


def test_a_queued_prompt_stands_where_its_turn_came_and_names_who_asked() -> None:
    later = "00000000-0000-4000-8000-00000000000b"
    log = [
        event(1, "run.queued", author="user:1", prompt="first"),
        event(2, "run.queued", run_id=later, author="user:2", prompt="second"),
        event(3, "run.queue_edited", run_id=later, author="user:1", prompt="third"),
        event(4, "run.finished", status="succeeded"),
        event(5, "run.started", run_id=later),
    ]
    prompts = [item for item in items_of(fold(Transcript(), log)) if item["kind"] == "prompt"]
    said = [(item["text"], item["author"], item["firstSeq"]) for item in prompts]
    assert said == [("first", "user:1", 1), ("third", "user:2", 5)]


def test_a_prompt_names_the_files_that_it_came_with() -> None:
    (prompt,) = items_of(fold(Transcript(), [event(1, "run.queued", prompt="read it", attachments=["uploads/1/a.md"])]))
    assert prompt["attachments"] == ["uploads/1/a.md"]
    (bare,) = items_of(fold(Transcript(), [event(1, "run.queued", prompt="first")]))
    assert "attachments" not in bare


def test_a_run_that_was_taken_out_of_the_queue_leaves_nothing() -> None:
    gone = "00000000-0000-4000-8000-00000000000b"
    log = [
        event(1, "run.queued", prompt="first"),
        event(2, "run.queued", run_id=gone, prompt="second"),
        event(3, "run.finished", run_id=gone, status="cancelled"),
    ]
    transcript = fold(Transcript(), log)
    assert ([item["id"] for item in items_of(transcript)], transcript.queue) == ([f"prompt:{RUN}"], [])


def test_a_call_does_not_count_the_wait_for_a_person() -> None:
    log = [
        event(1, "tool.call", toolCallId="c", status="in_progress"),
        event(2, "human_loop.requested", requestId="q", toolCall={"toolCallId": "c"}),
        event(42, "human_loop.resolved", requestId="q", decision="allow"),
    ]
    (tool,) = [item for item in items_of(fold(Transcript(), log)) if item["kind"] == "tool"]
    assert (tool["waitedMs"], tool["waitsSince"]) == (40_000, None)


@pytest.mark.parametrize("text", ["long " * 3000, "你" * 5000])
def test_long_outputs_and_diffs_are_cut_and_name_the_event_that_has_all(text: str) -> None:
    log: Sequence[Event] = [
        event(1, "tool.call", toolCallId="c", input={"path": "a.md"}),
        event(2, "tool.update", toolCallId="c", output={"text": text}),
        event(3, "tool.update", toolCallId="c", status="completed", diffs=[{"path": "a.md", "newText": text}]),
    ]
    (tool,) = items_of(fold(Transcript(), log))
    assert (tool["isCut"], tool["whole"]) == (True, {"output": 2, "diffs": 3})
    assert text.startswith(tool["output"]["text"])
    assert 0 < len(tool["output"]["text"].encode()) <= MOST_BYTES
    assert tool["diffs"][0]["cut"] is True
    assert (tool["input"], "inputSeq" in tool) == ({"path": "a.md"}, False)


def test_a_short_output_after_a_long_one_is_whole() -> None:
    log = [
        event(1, "tool.call", toolCallId="c", output="long " * 3000),
        event(2, "tool.update", toolCallId="c", output="s"),
    ]
    first = {item["id"]: cut_item(item) for item in fold(Transcript(), log[:1]).items.values()}
    continued = fold(restored(1, Transcript().state(), first.values()), log[1:])
    (tool,) = items_of(continued)
    assert (tool["output"], "isCut" in tool, "whole" in tool) == ("s", False, False)
