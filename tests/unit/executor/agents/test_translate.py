"""Session updates become our events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from acp.schema import SessionNotification

from executor.agents.agent_folders import AgentFolders
from executor.agents.provider import Dialect
from executor.agents.text import NOTHING_HIDDEN, Redaction
from executor.agents.todos import TodoList
from executor.agents.tool_calls import MOST_TOOL_CALLS
from executor.agents.translate import MOST_GIVEN_UP, Translation
from executor.agents.usage import UsageMeter
from schema.wire import Json, Wire

FOLDERS = AgentFolders(Path("/w"), Path("/h"), Path("/w/src"))
A = {"root": "workspace", "relativePath": "a"}


class Told:
    """A translation and what it said."""

    def __init__(self, dialect: Dialect = "acp", redaction: Redaction = NOTHING_HIDDEN) -> None:
        self.events: list[tuple[str, Json]] = []
        self.translation = Translation(self._say, UsageMeter(None), TodoList("plan"), FOLDERS, dialect, redaction)

    def _say(self, type_: str, data: Wire) -> None:
        self.events.append((type_, data.to_json()))

    def take(self, **update: Any) -> None:
        notification = SessionNotification.model_validate({"sessionId": "s", "update": update})
        self.translation.take(notification.update)

    def text(self, text: str, message_id: str | None = None, kind: str = "agent_message_chunk") -> None:
        self.take(sessionUpdate=kind, content={"type": "text", "text": text}, messageId=message_id)

    def types(self) -> list[str]:
        return [type_ for type_, _ in self.events]

    def of(self, type_: str) -> list[Json]:
        return [data for name, data in self.events if name == type_]


def test_a_message_stops_when_another_begins() -> None:
    told = Told()
    told.text("think", kind="agent_thought_chunk")
    told.text("a", "1")
    told.text("b", "1")
    told.text("c", "2")
    told.translation.end_message("end_turn")

    assert [one["text"] for one in told.of("message.delta")] == ["think", "a", "b", "c"]
    assert [one["stopReason"] for one in told.of("message.stop")] == ["next_message", "next_message", "end_turn"]
    assert len({one["messageId"] for one in told.of("message.delta")}) == 3


@pytest.mark.parametrize("dialect", ["claude-code", "opencode"])
def test_words_between_plans_are_no_retries(dialect: Dialect) -> None:
    told = Told(dialect)
    for number in range(MOST_GIVEN_UP + 1):
        told.text("next", str(number))
        todo = {"content": f"todo {number}", "status": "pending", "priority": "medium"}
        told.take(sessionUpdate="plan", entries=[todo])

    assert {one["stopReason"] for one in told.of("message.stop")} == {"next_message"}
    assert not told.translation.asks_endlessly.is_set()


@pytest.mark.parametrize("dialect, endless", [("claude-code", False), ("opencode", True)])
def test_only_an_agent_that_retries_for_ever_is_ended_for_it(dialect: Dialect, *, endless: bool) -> None:
    told = Told(dialect)
    for number in range(MOST_GIVEN_UP + 1):
        told.text("half a", str(number))

    assert told.translation.asks_endlessly.is_set() == endless


def test_a_tool_call_ends_the_message_but_its_updates_do_not() -> None:
    told = Told()
    told.text("a")
    told.take(sessionUpdate="tool_call", toolCallId="t", title="T")
    told.text("b")
    told.take(sessionUpdate="tool_call_update", toolCallId="t", status="completed")
    told.text("c")

    assert told.types() == [
        "message.delta",
        "message.stop",
        "tool.call",
        "message.delta",
        "tool.update",
        "message.delta",
    ]


def test_an_update_says_only_what_changed() -> None:
    told = Told()
    told.take(sessionUpdate="tool_call", toolCallId="t", title="T", kind="edit", status="pending", rawInput={"a": 1})
    told.take(sessionUpdate="tool_call_update", toolCallId="t", title="T", status="in_progress", rawInput={"a": 1})
    told.take(sessionUpdate="tool_call_update", toolCallId="t", title="T", status="in_progress")

    assert told.of("tool.update") == [{"toolCallId": "t", "status": "in_progress"}]


def test_an_update_of_an_unknown_call_begins_it() -> None:
    told = Told()
    told.take(sessionUpdate="tool_call_update", toolCallId="t", status="completed")

    assert told.types() == ["tool.call"]


def test_what_describes_a_pending_call_is_not_its_output() -> None:
    told = Told()
    text = [{"type": "content", "content": {"type": "text", "text": "lists files"}}]
    told.take(sessionUpdate="tool_call", toolCallId="t", title="ls", status="pending", content=text)
    told.take(sessionUpdate="tool_call_update", toolCallId="t", status="completed", rawOutput="a.txt", content=text)

    assert "output" not in told.of("tool.call")[0]
    assert told.of("tool.update")[0]["output"] == "a.txt"


def test_a_terminals_pieces_become_one_output() -> None:
    told = Told()
    told.take(sessionUpdate="tool_call", toolCallId="t", title="ls", status="in_progress")
    for number in range(100):
        meta = {"terminal_output_delta": {"data": f"{number} ", "terminal_id": "t"}}
        told.take(sessionUpdate="tool_call_update", toolCallId="t", _meta=meta)
    told.take(sessionUpdate="tool_call_update", toolCallId="t", status="completed")

    assert told.of("tool.update")[-1]["output"] == "".join(f"{number} " for number in range(100))
    assert len(told.of("tool.update")) < 10


def test_diffs_and_locations_are_kept() -> None:
    told = Told()
    diff = {"type": "diff", "path": "/w/a", "oldText": None, "newText": "x"}
    told.take(
        sessionUpdate="tool_call", toolCallId="t", title="T", content=[diff], locations=[{"path": "/w/a", "line": 3}]
    )

    [call] = told.of("tool.call")
    assert call["diffs"] == [{"path": "/w/a", "oldText": None, "newText": "x", **A}]
    assert call["locations"] == [{"path": "/w/a", "line": 3, **A}]


def test_a_plan_and_a_todo_tool_fill_the_same_group() -> None:
    told = Told()
    told.take(sessionUpdate="plan", entries=[{"content": "a", "priority": "high", "status": "pending"}])
    todos = {"todos": [{"content": "a", "status": "completed", "priority": "high"}]}
    told.take(sessionUpdate="tool_call", toolCallId="t", title="todowrite", rawInput=todos)

    groups = told.of("todo.update")
    assert [group["groupId"] for group in groups] == ["plan", "plan"]
    assert len({group["items"][0]["id"] for group in groups}) == 1
    assert [group["items"][0]["status"] for group in groups] == ["pending", "completed"]


def test_usage_is_said_once() -> None:
    told = Told()
    for _ in range(2):
        told.take(sessionUpdate="usage_update", used=10, size=100, cost={"amount": 0.5, "currency": "USD"})

    assert told.of("usage.update") == [
        {"contextUsed": 10, "contextSize": 100, "cost": {"amount": 0.5, "currency": "USD", "source": "reported"}}
    ]


def test_a_long_text_comes_in_pieces() -> None:
    told = Told()
    told.text("x" * 200_000)

    deltas = told.of("message.delta")
    assert len(deltas) == 4
    assert len({one["messageId"] for one in deltas}) == 1
    assert "".join(one["text"] for one in deltas) == "x" * 200_000


def test_calls_that_never_ended_end_with_the_turn() -> None:
    told = Told()
    told.take(sessionUpdate="tool_call", toolCallId="open", title="T", status="in_progress")
    told.take(sessionUpdate="tool_call", toolCallId="done", title="T", status="completed")
    told.translation.end_calls()

    assert told.of("tool.update") == [{"toolCallId": "open", "status": "failed"}]
    told.translation.end_calls()
    assert len(told.of("tool.update")) == 1


def test_blocks_that_are_not_text_have_a_word() -> None:
    told = Told()
    told.take(sessionUpdate="agent_message_chunk", content={"type": "image", "data": "AAAA", "mimeType": "image/png"})
    told.take(sessionUpdate="agent_message_chunk", content={"type": "resource_link", "name": "a", "uri": "file:///a"})

    assert [one["text"] for one in told.of("message.delta")] == ["[image: image/png]", "[a](file:///a)"]


def test_a_secret_that_is_split_over_deltas_is_hidden() -> None:
    told = Told(redaction=Redaction(["password-1"]))
    for piece in ("It is pass", "wo", "rd-1, ", "and the next is pass"):
        told.text(piece, "1")
    told.translation.end_message("end_turn")

    assert "".join(delta["text"] for delta in told.of("message.delta")) == "It is [secret], and the next is pass"
    assert told.types()[-1] == "message.stop"


def test_a_secret_that_is_split_over_pieces_of_a_terminal_is_hidden() -> None:
    told = Told(redaction=Redaction(["password-1"]))
    told.take(sessionUpdate="tool_call", toolCallId="c", title="env", status="in_progress")
    for piece in ("KEY=pass", "word-1\nEND=pass"):
        told.take(sessionUpdate="tool_call_update", toolCallId="c", _meta={"terminal_output_delta": {"data": piece}})
    told.take(sessionUpdate="tool_call_update", toolCallId="c", status="completed")

    outputs = [update.get("output") for update in told.of("tool.update")]
    assert outputs[-1] == "KEY=[secret]\nEND=pass"
    assert not [output for output in outputs if output and "KEY=pass" in output]


def test_the_end_of_an_unfinished_output_waits_while_it_could_begin_a_secret() -> None:
    told = Told(redaction=Redaction(["password-1"]))
    told.take(sessionUpdate="tool_call", toolCallId="c", title="env", status="in_progress")
    told.take(sessionUpdate="tool_call_update", toolCallId="c", status="in_progress", rawOutput="KEY=passw")
    told.take(sessionUpdate="tool_call_update", toolCallId="c", status="completed", rawOutput="KEY=passw")

    assert [update["output"] for update in told.of("tool.update")] == ["KEY=", "KEY=passw"]


def test_an_output_is_whole_when_its_call_ends_without_a_word() -> None:
    told = Told(redaction=Redaction(["secret-of-ours"]))
    told.take(sessionUpdate="tool_call", toolCallId="c", title="ls", status="in_progress")
    told.take(sessionUpdate="tool_call_update", toolCallId="c", status="in_progress", rawOutput="list of files")
    told.take(sessionUpdate="tool_call_update", toolCallId="c", status="completed")

    assert [update.get("output") for update in told.of("tool.update")] == ["list of file", "list of files"]


@pytest.mark.parametrize("field", ["rawOutput", "terminal"])
def test_an_output_is_whole_when_the_turn_ends_within_its_call(field: str) -> None:
    told = Told(redaction=Redaction(["secret-of-ours"]))
    told.take(sessionUpdate="tool_call", toolCallId="c", title="ls", status="in_progress")
    output = {"rawOutput": "list of files"}
    piece = {"_meta": {"terminal_output_delta": {"data": "list of files"}}}
    told.take(
        sessionUpdate="tool_call_update",
        toolCallId="c",
        status="in_progress",
        **(output if field == "rawOutput" else piece),
    )
    told.translation.end_calls()

    last = told.of("tool.update")[-1]
    assert (last["status"], last["output"]) == ("failed", "list of files")


def test_a_person_who_is_asked_reads_the_message_to_its_end() -> None:
    told = Told(redaction=Redaction(["secret-of-ours"]))
    told.text("Which files", "1")
    told.translation.show_held()

    assert "".join(delta["text"] for delta in told.of("message.delta")) == "Which files"
    assert "message.stop" not in told.types()


def test_last_words_are_whole_while_their_end_could_begin_a_secret() -> None:
    told = Told(redaction=Redaction(["door-key-of-ours"]))
    told.text("invalid api key: this one is no good", "1")

    assert told.translation.last_words == "invalid api key: this one is no good"
    assert told.of("message.delta")[-1]["text"].endswith("no goo")


def test_last_words_hide_a_secret_that_is_split() -> None:
    told = Told(redaction=Redaction(["door-key-of-ours"]))
    told.text("wrong: door-key", "1")
    told.text("-of-ours", "1")

    assert told.translation.last_words == "wrong: [secret]"


def test_tool_calls_at_the_limit_and_one_beyond() -> None:
    told = Told()
    for number in range(MOST_TOOL_CALLS):
        told.take(sessionUpdate="tool_call", toolCallId=str(number), title="T")
    assert "run.warning" not in told.types()
    for number in (MOST_TOOL_CALLS, MOST_TOOL_CALLS + 1):
        told.take(sessionUpdate="tool_call", toolCallId=str(number), title="T")
    told.take(sessionUpdate="tool_call_update", toolCallId="0", status="completed")
    assert len(told.of("tool.call")) == MOST_TOOL_CALLS
    assert [warning["code"] for warning in told.of("run.warning")] == ["tool_calls_left_out"]
    assert told.of("tool.update") == [{"toolCallId": "0", "status": "completed"}]
