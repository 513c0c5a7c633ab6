"""Render a session's events on a terminal: the streamed answer, tools, todos and costs.

An agent's text cannot control the terminal: the screen removes control characters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from cli.chat.request_lines import as_text, call_lines, deadline_words, diffs_of, path_of
from cli.times import length_words
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

if TYPE_CHECKING:
    from rich.console import Console

DIFF_LINES = 24
OUTPUT_LINES = 6
LINE_LENGTH = 240
MARKS = {"pending": "☐", "in_progress": "▸", "completed": "☑", "failed": "✗"}
STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "blocked": "red"}
NameOf = Callable[[str, UUID], str]
# C0 without tab and newline, DEL, C1, and the marks that reorder text
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Screen:
    """Render events, keeping the state of the last line and of each tool: an update carries changed fields only.

    `name_of` says who an author of a session's log is.
    """

    def __init__(self, console: Console, *, name_of: NameOf = lambda author, _session: author) -> None:
        self._console = console
        self._name_of = name_of
        self._cancelled: set[str] = set()
        self._message: str | None = None
        self._at_line_start = True
        self._tools: dict[str, Json] = {}
        self._todos: dict[str, TodoUpdate] = {}
        self._usage: Usage | None = None
        self._started_at: datetime | None = None
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
        """Show an event. Ignore unknown types: the server may be newer."""
        shown = self._by_type.get(event.type)
        if shown is not None:
            shown(event)

    def note(self, text: str, *, style: str = "dim") -> None:
        """Print a line of the chat itself."""
        self._end_line()
        self._line(text, style)

    def answered(self, request_id: UUID) -> None:
        """Record that this person answered the request, so that its event in the log is not shown again."""
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
            for line in shorten(as_text(tool.get("output")), lines=OUTPUT_LINES):
                self._line(f"    {line}", "dim")

    def _show_diff(self, diff: Json) -> None:
        self._line(f"    {path_of(diff)}", "bold")
        for line in diff_lines(diff.get("oldText") or "", diff.get("newText") or ""):
            self._line(f"    {line}", {"+": "green", "-": "red"}.get(line[:1], "dim"))

    def _show_todos(self, event: Envelope) -> None:
        """Show a list whole once, and then only what changed in it."""
        todos = TodoUpdate.model_validate(event.data)
        before = self._todos.get(todos.group_id)
        self._todos[todos.group_id] = todos
        known = {(item.id, item.content, item.status) for item in before.items} if before else set()
        changed = [item for item in todos.items if (item.id, item.content, item.status) not in known]
        if not changed and before is not None:
            return
        done = sum(item.status == "completed" for item in todos.items)
        counts = f" ({done} of {len(todos.items)} done)" if before and todos.items else ""
        self.note(f"{todos.title or 'Todos'}{counts}", style="bold")
        for item in changed:
            self._line(f"  {MARKS[item.status]} {item.content}", "dim" if item.status == "completed" else "")

    def _take_usage(self, event: Envelope) -> None:
        self._usage = Usage.model_validate(event.data)

    def _show_request(self, event: Envelope) -> None:
        self.show_question(event.data)

    def show_question(self, asked: Json) -> None:
        """Show a request: its title, what the agent wants to do, and what happens without an answer."""
        request = HumanRequested.model_validate(asked)
        self.note(f"? {request.title}", style="bold yellow")
        asked_call = request.tool_call or {}
        call = {**self._tools.get(str(asked_call.get("toolCallId")), {}), **asked_call}
        diffs = diffs_of(call)
        for diff in diffs:
            self._show_diff(diff)
        lines = call_lines(call, has_diff=bool(diffs))
        for line in shorten("\n".join(lines), lines=OUTPUT_LINES) if lines != [request.title] else []:
            self._line(f"    {line}", "")
        self._show_deadline(asked)

    def _show_escalated(self, event: Envelope) -> None:
        who = self._name_of(str(event.data.get("to")), event.session_id)
        self.note(f"no answer in time: {who} can answer too", style="yellow")
        self._show_deadline(event.data)

    def _show_deadline(self, request: Json) -> None:
        words = deadline_words(request)
        if words:
            self._line(f"    {words}", "dim")

    def _show_resolved(self, event: Envelope) -> None:
        """Show a decision. Skip requests that Runyard closed: the end of the run or attempt is shown by itself."""
        if event.data.get("decision") == "cancel":
            self._cancelled.add(event.data["requestId"])
        by = str(event.data.get("by"))
        if by != "system" and UUID(event.data["requestId"]) not in self._answered_here:
            self.note(resolved_words(event.data, who=self._name_of(by, event.session_id)))

    def _show_applied(self, event: Envelope) -> None:
        """Show an answer that the agent did not hear. The end of a run says itself that it was cancelled."""
        applied = HumanApplied.model_validate(event.data)
        if applied.outcome == "void" and event.data["requestId"] not in self._cancelled:
            told = applied.told.removeprefix("nothing: ")
            self.note(f"the answer did not reach the agent: {told}", style="yellow")

    def _show_queued(self, event: Envelope) -> None:
        if event.data.get("queuePosition"):
            self.note(f"queued behind {event.data['queuePosition']} other runs of this session")

    def _show_started(self, event: Envelope) -> None:
        started = RunStarted.model_validate(event.data)
        agent = started.agent or Agent()
        name = " ".join(filter(None, (agent.name, agent.version))) or started.provider
        self._usage, self._started_at = None, event.at
        self.note(f"{name}{', resuming the conversation' if started.resumed else ''}")

    def _show_held(self, event: Envelope) -> None:
        self.note(str(event.data.get("message", "")))

    def _show_retrying(self, event: Envelope) -> None:
        self.note(f"retrying: {_reason(event.data)}", style="yellow")

    def _show_parked(self, event: Envelope) -> None:  # noqa: ARG002  the event has no other fields
        self.note("the run is parked: it resumes after an answer, at any later time", style="yellow")

    def _show_warning(self, event: Envelope) -> None:
        self.note(RunWarning.model_validate(event.data).message, style="yellow")

    def _show_sync_failed(self, event: Envelope) -> None:
        self.note(f"the workspace sync failed: {_reason(event.data)}", style="yellow")

    def _show_handed_over(self, event: Envelope) -> None:
        handover = ConversationHandedOver.model_validate(event.data)
        older = f", {handover.left_out} older runs left out" if handover.left_out else ""
        self.note(f"The agent received a summary of {handover.runs} runs by {', '.join(handover.from_)}{older}.")

    def _show_finished(self, event: Envelope) -> None:
        finished = RunFinished.model_validate(event.data)
        said = [finished.status, *([finished.reason.message] if finished.reason else [])]
        words = [": ".join(said), *self._time_words(event.at), *usage_words(finished.usage or self._usage)]
        self.note(" · ".join(words), style=STYLES[finished.status])

    def _time_words(self, ended_at: datetime) -> list[str]:
        """Say how long the run took, from a second on."""
        seconds = (ended_at - self._started_at).total_seconds() if self._started_at else 0
        self._started_at = None
        return [length_words(seconds)] if seconds >= 1 else []

    def _write(self, text: str, style: str) -> None:
        clean = visible(text)
        if clean:
            self._print(clean, style, end="")
            self._at_line_start = clean.endswith("\n")

    def _line(self, text: str, style: str) -> None:
        self._print(visible(text), style, end="\n")

    def _print(self, text: str, style: str, *, end: str) -> None:
        from rich.text import Text  # the administration's image has no rich

        self._console.print(Text(text, style), end=end, soft_wrap=True)

    def _end_line(self) -> None:
        self._message = None
        if not self._at_line_start:
            self._console.print()
            self._at_line_start = True


def visible(text: str) -> str:
    """Remove the characters that move the cursor, change colours or reorder text."""
    return _STEERING.sub("", text.replace("\r\n", "\n"))


def resolved_words(resolved: Json, *, who: str) -> str:
    """Say who decided, what, and why if that is known; a timeout has no decider."""
    decision, by = str(resolved.get("decision")).replace("_", " "), str(resolved.get("by"))
    said = f"{decision} ({resolved['reason']})" if resolved.get("reason") else decision
    if by == "timeout":
        return f"no answer in time: {said}"
    return f"{'decided' if by.startswith('rule:') else 'answered'} by {who}: {said}"


def shorten(text: str, *, lines: int) -> list[str]:
    """Return the first lines, each cut to LINE_LENGTH, and a count of the omitted lines."""
    every = text.strip("\n").split("\n") if text.strip() else []
    cut = [line if len(line) <= LINE_LENGTH else f"{line[:LINE_LENGTH]} ..." for line in every[:lines]]
    return [*cut, f"... {len(every) - lines} more lines"] if len(every) > lines else cut


def diff_lines(old: str, new: str) -> list[str]:
    """Return a unified diff without its header, cut to DIFF_LINES."""
    every = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=1, lineterm=""))[2:]
    return shorten("\n".join(line for line in every if not line.startswith("@@")), lines=DIFF_LINES)


def usage_words(usage: Usage | None) -> list[str]:
    """Describe the known token counts and the cost. An unknown cost is left out, never 0."""
    if usage is None:
        return []
    counts = [(usage.input_tokens, "in"), (usage.output_tokens, "out"), (usage.cached_read_tokens, "from the cache")]
    words = [f"{count:,} {name}" for count, name in counts if count is not None]
    tokens = [f"tokens: {', '.join(words)}"] if words else []
    if usage.cost is None or usage.cost.amount is None:
        return tokens
    return [*tokens, f"{usage.cost.amount:.4f} {usage.cost.currency or ''} ({usage.cost.source})"]


def _title(tool: Json) -> str:
    first = str(tool.get("title") or tool.get("kind") or "a tool").split("\n")[0]
    return first if len(first) <= LINE_LENGTH else f"{first[:LINE_LENGTH]} ..."


def _reason(data: Json) -> str:
    reason = data.get("reason")
    return str(reason.get("message", reason)) if isinstance(reason, dict) else str(reason or data.get("message", ""))
