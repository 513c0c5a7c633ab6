"""What a person sees of a session's events: the answer as it comes, tools, todos, costs.

One contract: nothing that an agent wrote can steer the terminal; control characters never pass.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.text import Text

from schema.events import (
    Agent,
    ConversationHandedOver,
    Envelope,
    HumanApplied,
    HumanRequested,
    MessageDelta,
    MessageStop,
    RunFinished,
    RunStarted,
    RunWarning,
    TodoUpdate,
    ToolCall,
    Usage,
)
from schema.wire import Json

DIFF_LINES = 24
OUTPUT_LINES = 6
LINE_LENGTH = 240
MARKS = {"pending": "☐", "in_progress": "▸", "completed": "☑", "failed": "✗"}
STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "blocked": "red"}
AT_THE_DEADLINE = {
    "deny": "then it is denied in nobody's name",
    "park": "then the run is parked, and the question stays open",
    "escalate": "then it is put to somebody else as well",
}
# C0 without tab and newline, DEL, C1, and the marks that reorder text
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Screen:
    """Knows what stands on the last line, and the tools seen so far (an update tells only what changed)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._message: str | None = None
        self._at_line_start = True
        self._tools: dict[str, Json] = {}
        self._todos: dict[str, TodoUpdate] = {}
        self._usage: Usage | None = None
        self._answered_here: set[UUID] = set()
        self._by_type: dict[str, Callable[[Envelope], None]] = {
            "message.delta": self._show_delta,
            "message.stop": self._show_stop,
            "tool.call": self._show_tool,
            "tool.update": self._show_tool,
            "todo.update": self._show_todos,
            "usage.update": self._take_usage,
            "human_loop.requested": self._show_request,
            "human_loop.escalated": self._show_escalated,
            "human_loop.resolved": self._show_resolved,
            "human_loop.applied": self._show_applied,
            "run.queued": self._show_queued,
            "run.held": self._show_held,
            "run.started": self._show_started,
            "run.retrying": self._show_retrying,
            "conversation.handed_over": self._show_handed_over,
            "run.parked": self._show_parked,
            "run.warning": self._show_warning,
            "run.finished": self._show_finished,
            "workspace.sync_failed": self._show_sync_failed,
        }

    def show(self, event: Envelope) -> None:
        """Types that are not known here are passed over: the server may be newer."""
        shown = self._by_type.get(event.type)
        if shown is not None:
            shown(event)

    def note(self, text: str, *, style: str = "dim") -> None:
        """A line of our own."""
        self._end_line()
        self._line(text, style)

    def answered(self, request_id: UUID) -> None:
        """The person here has answered this one: the log's echo of it is not shown again."""
        self._answered_here.add(request_id)

    def _show_delta(self, event: Envelope) -> None:
        delta = MessageDelta.model_validate(event.data)
        if delta.role == "user":
            return
        message = f"{delta.role} {delta.message_id}"
        if message != self._message:
            self._end_line()
            self._message = message
        self._write(delta.text, "dim italic" if delta.role == "thought" else "")

    def _show_stop(self, event: Envelope) -> None:
        MessageStop.model_validate(event.data)
        self._end_line()

    def _show_tool(self, event: Envelope) -> None:
        changed = ToolCall.model_validate(event.data).to_json()
        known = self._tools.get(changed["toolCallId"], {})
        tool = {**known, **changed}
        self._tools[changed["toolCallId"]] = tool
        ended = tool.get("status") in {"completed", "failed"}
        if not known and not ended:
            self.note(f"▸ {_title(tool)}", style="cyan")
        elif ended and known.get("status") != tool["status"]:
            self._show_ended_tool(tool)

    def _show_ended_tool(self, tool: Json) -> None:
        failed = tool["status"] == "failed"
        self.note(f"{'✗' if failed else '✓'} {_title(tool)}", style="red" if failed else "cyan")
        for diff in tool.get("diffs") or []:
            self._show_diff(diff)
        if not tool.get("diffs") or failed:
            for line in shorten(_as_text(tool.get("output")), lines=OUTPUT_LINES):
                self._line(f"    {line}", "dim")

    def _show_diff(self, diff: Json) -> None:
        self._line(f"    {diff.get('path', '')}", "bold")
        for line in diff_lines(diff.get("oldText") or "", diff.get("newText") or ""):
            self._line(f"    {line}", {"+": "green", "-": "red"}.get(line[:1], "dim"))

    def _show_todos(self, event: Envelope) -> None:
        todos = TodoUpdate.model_validate(event.data)
        if self._todos.get(todos.group_id) == todos:
            return
        self._todos[todos.group_id] = todos
        self.note(todos.title or "Todos", style="bold")
        for item in todos.items:
            self._line(f"  {MARKS[item.status]} {item.content}", "dim" if item.status == "completed" else "")

    def _take_usage(self, event: Envelope) -> None:
        self._usage = Usage.model_validate(event.data)

    def _show_request(self, event: Envelope) -> None:
        request = HumanRequested.model_validate(event.data)
        self.note(f"? {request.title}", style="bold yellow")
        call = request.tool_call or {}
        tool = self._tools.get(str(call.get("toolCallId")), {})
        for diff in call.get("diffs") or tool.get("diffs") or []:
            self._show_diff(diff)
        for line in shorten(_as_text(call.get("input")), lines=OUTPUT_LINES):
            self._line(f"    {line}", "dim")
        self._show_deadline(event.data)

    def _show_escalated(self, event: Envelope) -> None:
        self.note(f"nobody answered in time: {event.data.get('to')} may answer too", style="yellow")
        self._show_deadline(event.data)

    def _show_deadline(self, asked: Json) -> None:
        then = AT_THE_DEADLINE.get(str(asked.get("onExpiry")))
        if asked.get("expiresAt") and then:
            self._line(f"    until {asked['expiresAt']}; {then}", "dim")

    def _show_resolved(self, event: Envelope) -> None:
        """One that nobody has answered is closed by the end of its run or attempt, which is told by itself."""
        if event.data.get("by") != "system" and UUID(event.data["requestId"]) not in self._answered_here:
            self.note(resolved_words(event.data))

    def _show_applied(self, event: Envelope) -> None:
        applied = HumanApplied.model_validate(event.data)
        if applied.outcome == "void":
            self.note(f"the answer did not reach the agent: {applied.told}", style="yellow")

    def _show_queued(self, event: Envelope) -> None:
        if event.data.get("queuePosition"):
            self.note(f"waiting behind {event.data['queuePosition']} other runs of this session")

    def _show_started(self, event: Envelope) -> None:
        started = RunStarted.model_validate(event.data)
        agent = started.agent or Agent()
        name = " ".join(filter(None, (agent.name, agent.version))) or started.provider
        self._usage = None
        self.note(f"{name}{', going on with the conversation' if started.resumed else ''}")

    def _show_held(self, event: Envelope) -> None:
        self.note(str(event.data.get("message", "")))

    def _show_retrying(self, event: Envelope) -> None:
        self.note(f"trying again: {_reason(event.data)}", style="yellow")

    def _show_parked(self, event: Envelope) -> None:  # noqa: ARG002  it says nothing more
        self.note("the run is parked: it goes on when it is answered, whenever that is", style="yellow")

    def _show_warning(self, event: Envelope) -> None:
        self.note(RunWarning.model_validate(event.data).message, style="yellow")

    def _show_sync_failed(self, event: Envelope) -> None:
        self.note(f"the workspace could not be saved: {_reason(event.data)}", style="yellow")

    def _show_handed_over(self, event: Envelope) -> None:
        told = ConversationHandedOver.model_validate(event.data)
        older = f", {told.left_out} older ones left out" if told.left_out else ""
        self.note(f"It was told what {', '.join(told.from_)} did here: {told.runs} runs{older}.")

    def _show_finished(self, event: Envelope) -> None:
        finished = RunFinished.model_validate(event.data)
        said = [finished.status, *([finished.reason.message] if finished.reason else [])]
        self.note(
            " · ".join([": ".join(said), *usage_words(finished.usage or self._usage)]), style=STYLES[finished.status]
        )

    def _write(self, text: str, style: str) -> None:
        clean = visible(text)
        if clean:
            self._console.print(Text(clean, style), end="", soft_wrap=True)
            self._at_line_start = clean.endswith("\n")

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(visible(text), style), soft_wrap=True)

    def _end_line(self) -> None:
        self._message = None
        if not self._at_line_start:
            self._console.print()
            self._at_line_start = True


def visible(text: str) -> str:
    """The text without the characters that would move the cursor, change colours or reorder what is read."""
    return _STEERING.sub("", text.replace("\r\n", "\n"))


def resolved_words(resolved: Json) -> str:
    """Who decided, and what; a time-out is nobody's decision."""
    decision, by = resolved.get("decision"), str(resolved.get("by"))
    if by == "timeout":
        return f"nobody answered in time: {decision}"
    return f"decided by {by}: {decision}" if by.startswith("rule:") else f"answered elsewhere: {decision} (by {by})"


def shorten(text: str, *, lines: int) -> list[str]:
    """The first lines, each cut, and how many more there are."""
    every = text.strip("\n").split("\n") if text.strip() else []
    cut = [line if len(line) <= LINE_LENGTH else f"{line[:LINE_LENGTH]} ..." for line in every[:lines]]
    return [*cut, f"... {len(every) - lines} more lines"] if len(every) > lines else cut


def diff_lines(old: str, new: str) -> list[str]:
    """A unified diff without its header, cut."""
    every = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=1, lineterm=""))[2:]
    return shorten("\n".join(line for line in every if not line.startswith("@@")), lines=DIFF_LINES)


def usage_words(usage: Usage | None) -> list[str]:
    """What is known; an unknown cost is said to be unknown, never 0."""
    if usage is None:
        return []
    counts = [(usage.input_tokens, "in"), (usage.output_tokens, "out"), (usage.cached_read_tokens, "from the cache")]
    words = [f"{count:,} {name}" for count, name in counts if count is not None]
    tokens = [f"tokens: {', '.join(words)}"] if words else []
    if usage.cost is None:
        return tokens
    if usage.cost.amount is None:
        return [*tokens, "cost unknown"]
    return [*tokens, f"{usage.cost.amount:.4f} {usage.cost.currency or ''} ({usage.cost.source})"]


def _title(tool: Json) -> str:
    first = str(tool.get("title") or tool.get("kind") or "a tool").split("\n")[0]
    return first if len(first) <= LINE_LENGTH else f"{first[:LINE_LENGTH]} ..."


def _as_text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _reason(data: Json) -> str:
    reason = data.get("reason")
    return str(reason.get("message", reason)) if isinstance(reason, dict) else str(reason or data.get("message", ""))
