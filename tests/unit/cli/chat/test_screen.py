"""What the terminal shows of events: each thing once, cut to what a person reads, and never able to steer it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.chat.screen import NameOf, Screen, diff_lines, shorten, usage_words, visible
from schema.events import Cost, Envelope, Usage

SESSION = UUID(int=1)


class Terminal:
    """A screen that writes into memory."""

    def __init__(self, name_of: NameOf = lambda author, _session: author) -> None:
        self.out = io.StringIO()
        self.screen = Screen(Console(file=self.out, highlight=False, markup=False, width=80), name_of=name_of)
        self.seq = 0
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def show(self, event_type: str, /, **data: object) -> None:
        self.seq += 1
        event_id, author = uuid4(), "executor"
        self.screen.show(
            Envelope(
                seq=self.seq, id=event_id, session_id=SESSION, author=author, type=event_type, at=self.at, data=data
            )
        )

    @property
    def text(self) -> str:
        return self.out.getvalue()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_deltas_of_one_message_run_on_and_the_next_message_begins_a_line(terminal: Terminal) -> None:
    for message, text in (("1", "Hel"), ("1", "lo"), ("2", "Bye")):
        terminal.show("message.delta", messageId=message, role="assistant", text=text)
    terminal.show("message.stop", messageId="2", stopReason="end_turn")
    assert terminal.text == "Hello\nBye\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    def shown() -> str:
        terminal = Terminal()
        terminal.screen = Screen(Console(file=terminal.out, force_terminal=True, highlight=False, markup=False))
        terminal.show("tool.call", toolCallId="1", title="List", kind="search", status="in_progress")
        return terminal.text

    for variable in ("NO_COLOR", "COLORTERM", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[36m" in shown()
    monkeypatch.setenv(name, value)
    assert "\x1b[3" not in shown()
    assert "List" in shown()


def test_long_text_is_not_broken_into_lines(terminal: Terminal) -> None:
    terminal.show("message.delta", messageId="1", role="assistant", text="word " * 100)
    assert "\n" not in terminal.text


def test_a_question_that_went_with_its_run_was_answered_by_nobody(terminal: Terminal) -> None:
    terminal.show("human_loop.resolved", requestId=str(uuid4()), decision="cancel", by="system")
    assert terminal.text == ""


def test_what_looks_like_markup_is_shown_as_it_is(terminal: Terminal) -> None:
    terminal.show("message.delta", messageId="1", role="assistant", text="[bold]x[/bold] [link=http://a]b[/link]")
    assert terminal.text == "[bold]x[/bold] [link=http://a]b[/link]"


def test_prompt_is_not_repeated(terminal: Terminal) -> None:
    terminal.show("message.delta", messageId="1", role="user", text="do it")
    assert terminal.text == ""


def test_tool_shows_when_it_begins_and_once_when_it_ends(terminal: Terminal) -> None:
    terminal.show("tool.call", toolCallId="t", title="Run tests", kind="execute", status="pending")
    terminal.show("tool.update", toolCallId="t", status="in_progress")
    terminal.show("tool.update", toolCallId="t", status="completed", output="ok\nfine")
    terminal.show("tool.update", toolCallId="t", output="ok\nfine")
    assert terminal.text.split("\n") == ["▸ Run tests", "✓ Run tests", "    ok", "    fine", ""]


def test_edit_shows_its_diff(terminal: Terminal) -> None:
    diff = {"path": "a.txt", "oldText": "one\ntwo\n", "newText": "one\nthree\n"}
    terminal.show("tool.call", toolCallId="t", title="Edit", status="completed", diffs=[diff])
    assert [line.strip() for line in terminal.text.splitlines()] == ["✓ Edit", "a.txt", "one", "-two", "+three"]


def test_todos_are_a_checklist_shown_when_they_change(terminal: Terminal) -> None:
    items = [{"id": "1", "content": "Look", "status": "completed"}, {"id": "2", "content": "Act", "status": "pending"}]
    terminal.show("todo.update", groupId="g", title="Plan", items=items)
    terminal.show("todo.update", groupId="g", title="Plan", items=items)
    assert terminal.text == "Plan\n  ☑ Look\n  ☐ Act\n"


def test_todos_are_printed_again_only_where_they_change(terminal: Terminal) -> None:
    items = [{"id": str(n), "content": f"Step {n}", "status": "pending"} for n in range(3)]
    terminal.show("todo.update", groupId="g", title="Plan", items=items)
    items[1]["status"] = "completed"
    terminal.show("todo.update", groupId="g", title="Plan", items=items)
    assert terminal.text.splitlines()[4:] == ["Plan (1 of 3 done)", "  ☑ Step 1"]


def test_end_of_a_run_says_how_and_what_it_used(terminal: Terminal) -> None:
    terminal.show("usage.update", inputTokens=1200, outputTokens=34, cost={"source": "unavailable"})
    terminal.show("run.finished", status="failed", reason={"code": "agent_lost", "message": "The agent is gone."})
    assert terminal.text == "failed: The agent is gone. · tokens: 1,200 in, 34 out\n"


def test_answer_given_here_is_not_told_again_but_that_of_another_is(terminal: Terminal) -> None:
    mine, other = uuid4(), uuid4()
    terminal.screen.answered(mine)
    for request in (mine, other):
        terminal.show("human_loop.resolved", requestId=str(request), decision="allow", by="user:x")
    assert terminal.text == "answered by user:x: allow\n"


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("rule:r@2", "decided by rule r@2: deny (not now)\n"),
        ("timeout", "no answer in time: deny (not now)\n"),
        ("user:x", "answered by Ada: deny (not now)\n"),
    ],
)
def test_who_decided_is_told_by_name(by: str, told: str) -> None:
    terminal = Terminal(name_of=lambda author, _session: {"user:x": "Ada", "rule:r@2": "rule r@2"}.get(author, author))
    terminal.show("human_loop.resolved", requestId=str(uuid4()), decision="deny", by=by, reason="not now")
    assert terminal.text == told


def test_a_cancelled_question_is_told_once_and_an_unheard_answer_with_its_cause(terminal: Terminal) -> None:
    cancelled, unheard = str(uuid4()), str(uuid4())
    terminal.show("human_loop.resolved", requestId=cancelled, decision="cancel", by="user:x")
    for request in (cancelled, unheard):
        terminal.show("human_loop.applied", requestId=request, outcome="void", told="nothing: the agent has ended")
    assert terminal.text == ("answered by user:x: cancel\nthe answer did not reach the agent: the agent has ended\n")


def test_a_request_tells_its_deadline_and_what_comes_then(terminal: Terminal) -> None:
    asked = {"requestId": str(uuid4()), "kind": "permission", "title": "May I?", "fingerprint": "f"}
    soon = (datetime.now(UTC) + timedelta(minutes=59, seconds=50)).isoformat()
    terminal.show("human_loop.requested", **asked, expiresAt=soon, onExpiry="park")
    assert terminal.text == "? May I?\n    parks in 59 min; the question stays open\n"


def test_a_deadline_that_has_passed_is_not_told(terminal: Terminal) -> None:
    asked = {"requestId": str(uuid4()), "kind": "permission", "title": "May I?", "fingerprint": "f"}
    terminal.show("human_loop.requested", **asked, expiresAt="2026-01-02T03:04:05Z", onExpiry="deny")
    assert terminal.text == "? May I?\n"


def test_a_request_shows_its_command_or_relative_path_and_no_json(terminal: Terminal) -> None:
    asked = {"requestId": str(uuid4()), "kind": "permission", "title": "Run it", "fingerprint": "f"}
    terminal.show("human_loop.requested", **asked, toolCall={"input": {"command": "git push\ngit tag"}})
    diff = {"path": "/workspace/src/a.txt", "relativePath": "src/a.txt", "oldText": "", "newText": "one"}
    call = {"input": {"path": "/workspace/src/a.txt", "content": "one"}, "diffs": [diff]}
    terminal.show("human_loop.requested", **{**asked, "title": "Write"}, toolCall=call)
    where = {"path": "/workspace/src", "relativePath": "src"}
    terminal.show("human_loop.requested", **{**asked, "title": "List"}, toolCall={"locations": [where]})
    assert [line.strip() for line in terminal.text.splitlines()] == [
        *("? Run it", "$ git push", "git tag"),
        *("? Write", "src/a.txt", "+one"),
        *("? List", "src"),
    ]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"path": "/box/notes.md", "content": "one\ntwo\n"}, ["notes.md", "+one", "+two"]),
        ({"file_path": "/box/src/a.py", "old_string": "old", "new_string": "new"}, ["src/a.py", "-old", "+new"]),
        ({"file_path": "/box/src/a.py", "new_string": "new"}, ["src/a.py", "+new"]),
        ({"path": "/etc/hosts", "content": "one"}, ["/etc/hosts", "+one"]),
    ],
)
def test_a_request_that_names_no_change_shows_the_one_in_its_input(
    terminal: Terminal, given: dict[str, str], lines: list[str]
) -> None:
    asked = {"requestId": str(uuid4()), "kind": "permission", "title": "Write", "fingerprint": "f"}
    call = {"kind": "edit", "input": given, "workspace": "/box"}
    terminal.show("human_loop.requested", **asked, toolCall=call)
    assert [line.strip() for line in terminal.text.splitlines()] == ["? Write", *lines]


@pytest.mark.parametrize("given", ["text", ["a"], {"path": 7, "content": "one"}, {"path": "a", "content": None}])
def test_an_input_that_names_no_change_is_shown_as_it_is(terminal: Terminal, given: object) -> None:
    asked = {"requestId": str(uuid4()), "kind": "permission", "title": "Write", "fingerprint": "f"}
    terminal.show("human_loop.requested", **asked, toolCall={"kind": "edit", "input": given})
    [title, shown] = terminal.text.splitlines()
    assert (title, shown.strip()) == ("? Write", given if isinstance(given, str) else json.dumps(given))


def test_a_run_tells_how_long_it_took(terminal: Terminal) -> None:
    terminal.show("run.started", status="running", provider="demo", resumed=False)
    terminal.at += timedelta(minutes=2, seconds=5)
    terminal.show("run.finished", status="succeeded")
    assert terminal.text == "demo\nsucceeded · 2 min\n"


def test_an_escalated_request_tells_whom_it_was_put_to(terminal: Terminal) -> None:
    terminal.show("human_loop.escalated", requestId=str(uuid4()), to="role:operator", by="timeout", onExpiry="wait")
    assert terminal.text == "no answer in time: role:operator can answer too\n"


def test_type_from_a_newer_server_is_passed_over(terminal: Terminal) -> None:
    terminal.show("weather.changed", wind=3)
    assert terminal.text == ""


@given(st.text())
def test_nothing_that_steers_a_terminal_passes(text: str) -> None:
    shown = visible(text)
    assert not [char for char in shown if (ord(char) < 32 and char not in "\t\n") or 127 <= ord(char) < 160]
    assert "\u202e" not in shown


def test_output_is_cut_and_says_how_much_is_missing() -> None:
    assert shorten("1\n2\n3\n4", lines=2) == ["1", "2", "... 2 more lines"]
    assert len(shorten("x" * 10_000, lines=2)[0]) < 300
    assert shorten("", lines=2) == []


def test_diff_of_a_new_file_is_all_additions() -> None:
    assert diff_lines("", "a\nb") == ["+a", "+b"]


def test_unknown_cost_is_left_out_and_never_shown_as_zero() -> None:
    assert usage_words(None) == []
    assert usage_words(Usage(cost=Cost(source="unavailable"))) == []
    priced = Usage(cost=Cost(amount=0.01234, currency="USD", source="priced"))
    assert usage_words(priced) == ["0.0123 USD (priced)"]
