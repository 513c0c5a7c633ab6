"""Say what each type of event does to a transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from handlers.sessions.transcript import Event, Transcript, is_open, prompt_id, text_id, tool_id
from schema.wire import Json

Fold = Callable[[Transcript, Event], None]
_DECIDED: Json = {"decision": None, "by": None, "reason": None, "answers": None, "decidedAt": None, "told": None}
_UNDECIDED_TOOL: Json = {"title": "", "toolKind": "other", "status": "pending", "diffs": [], "locations": []}


def fold(transcript: Transcript, events: Iterable[Event]) -> Transcript:
    """Fold the events that the transcript has not seen into it, and return it."""
    texts = _Texts(transcript)
    for event in events:
        if event.seq <= transcript.seq:
            continue
        transcript.seq = event.seq
        if event.type == "message.delta" and event.data.get("role") != "user":
            texts.add(event)
            continue
        texts.write()
        FOLDS.get(event.type, _notice)(transcript, event)
    texts.write()
    return transcript


class _Texts:
    """Collects the deltas of messages and joins them once, so that a long message costs its length, not its square."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._parts: dict[str, list[str]] = {}

    def add(self, event: Event) -> None:
        role = event.text("role")
        id_ = text_id(role, event.run_id, event.text("messageId"))
        item = self._transcript.items.get(id_)
        if item is None:
            item = event.begin(id_, "thought" if role == "thought" else "answer") | {"text": "", "isDone": False}
        self._transcript.change(item, lastSeq=event.seq)
        self._parts.setdefault(id_, [item["text"]]).append(event.text("text"))

    def write(self) -> None:
        for id_, parts in self._parts.items():
            self._transcript.change(self._transcript.items[id_], text="".join(parts))
        self._parts.clear()


def _queued(transcript: Transcript, event: Event) -> None:
    run_id = event.run_id
    if run_id is None:
        return
    begun: Json = {"prompt": event.text("prompt"), "author": event.author, "startedAt": None}
    if attachments := event.texts("attachments"):
        begun["attachments"] = attachments
    transcript.runs.setdefault(run_id, begun)
    if transcript.live_run_id == run_id or (transcript.live_run_id is None and not transcript.queue):
        _take_turn(transcript, event)
    elif run_id not in transcript.queue:
        transcript.queue.append(run_id)


def _take_turn(transcript: Transcript, event: Event) -> None:
    """Put the prompt where the run's turn comes, not where the prompt was typed."""
    run_id = event.run_id or ""
    transcript.queue = [queued for queued in transcript.queue if queued != run_id]
    transcript.live_run_id = run_id
    run = transcript.runs.get(run_id)
    if run is None or prompt_id(run_id) in transcript.items:
        return
    prompt = event.begin(prompt_id(run_id), "prompt")
    given = {"attachments": run["attachments"]} if "attachments" in run else {}
    transcript.put(prompt | {"text": run["prompt"], "author": run["author"]} | given)


def _queue_edited(transcript: Transcript, event: Event) -> None:
    text = event.text_or_none("prompt")
    if text is None:
        return
    run = transcript.runs.get(event.run_id or "")
    if run is not None:
        transcript.runs[event.run_id or ""] = {**run, "prompt": text}
    prompt = transcript.items.get(prompt_id(event.run_id))
    if prompt is not None:
        transcript.change(prompt, text=text)


def _started(transcript: Transcript, event: Event) -> None:
    if event.run_id is None:
        return
    _take_turn(transcript, event)
    run = transcript.runs.get(event.run_id)
    if run is not None and run["startedAt"] is None:
        transcript.runs[event.run_id] = {**run, "startedAt": event.at}


def _retrying(transcript: Transcript, event: Event) -> None:
    _end_open_items(transcript, event)
    _notice(transcript, event)


def _finished(transcript: Transcript, event: Event) -> None:
    """A run that was taken out of the queue leaves nothing. An executor's end that comes too late changes nothing."""
    run_id = event.run_id
    if run_id is None:
        return
    _end_open_items(transcript, event)
    if f"run:{run_id}" in transcript.items:
        return
    run = transcript.runs.pop(run_id, None)
    transcript.queue = [queued for queued in transcript.queue if queued != run_id]
    if transcript.live_run_id != run_id and prompt_id(run_id) not in transcript.items:
        return
    if transcript.live_run_id == run_id:
        transcript.live_run_id = None
    transcript.put(
        event.begin(f"run:{run_id}", "run")
        | {
            "status": event.text("status"),
            "reason": event.data.get("reason"),
            "usage": event.data.get("usage"),
            "stopReason": event.text_or_none("stopReason"),
            "startedAt": run and run["startedAt"],
        }
    )


def _end_open_items(transcript: Transcript, event: Event) -> None:
    """Nothing of a run goes on after its end, whatever its agent forgot to say."""
    for item in [item for item in transcript.items.values() if item["runId"] == event.run_id and is_open(item)]:
        if item["kind"] != "tool":
            transcript.change(item, isDone=True)
        elif item["endedAt"] is None:
            transcript.change(item, endedAt=event.at)


def _said_by_user(transcript: Transcript, event: Event) -> None:
    """Add a user's words that an agent reports, unless the run's prompt says them."""
    if prompt_id(event.run_id) in transcript.items:
        return
    id_ = text_id("user", event.run_id, event.text("messageId"))
    item = transcript.items.get(id_) or event.begin(id_, "prompt") | {"author": event.author, "text": ""}
    transcript.change(item, text=item["text"] + event.text("text"), lastSeq=event.seq)


def _stop(transcript: Transcript, event: Event) -> None:
    for role in ("assistant", "thought"):
        item = transcript.items.get(text_id(role, event.run_id, event.text("messageId")))
        if item is not None:
            transcript.change(item, isDone=True, lastSeq=event.seq)


def _tool(transcript: Transcript, event: Event) -> None:
    tool_call_id = event.text("toolCallId")
    id_ = tool_id(event.run_id, tool_call_id)
    item = transcript.items.get(id_) or event.begin(id_, "tool") | {
        "toolCallId": tool_call_id,
        **_UNDECIDED_TOOL,
        "endedAt": None,
        "waitedMs": 0,
        "waitsSince": None,
    }
    status = event.text_or_none("status") or item["status"]
    is_over = status in ("completed", "failed")
    transcript.change(
        item,
        title=event.text("title") or item["title"],
        toolKind=event.text("kind") or item["toolKind"],
        status=status,
        endedAt=(item["endedAt"] or event.at) if is_over else None,
        lastSeq=event.seq,
        **_fields_of(event),
    )


def _fields_of(event: Event) -> Json:
    """Return what the call was given and gave, as far as the event says; `...Seq` is the event that has it whole."""
    fields: Json = {key: event.data[key] for key in ("input", "output") if event.data.get(key) is not None}
    if isinstance(event.data.get("diffs"), list):
        fields["diffs"] = event.objects("diffs")
    seqs = {f"{key}Seq": event.seq for key in fields}
    if isinstance(event.data.get("locations"), list):
        paths = [place.get("path") for place in event.objects("locations")]
        fields["locations"] = [path if isinstance(path, str) else "" for path in paths]
    return fields | seqs


def _requested(transcript: Transcript, event: Event) -> None:
    request_id = event.text("requestId")
    if f"asked:{request_id}" in transcript.items:
        return
    tool_call = event.object_or_none("toolCall")
    item = event.begin(f"asked:{request_id}", "asked") | {
        "requestId": request_id,
        "asks": "question" if event.data.get("kind") == "question" else "permission",
        "title": event.text("title"),
        "toolCall": tool_call,
        "options": event.objects("options"),
        "schema": event.object_or_none("schema"),
        "expiresAt": event.text_or_none("expiresAt"),
        "onExpiry": event.text("onExpiry") or "wait",
    }
    transcript.put(item | _DECIDED)
    _hold_tool(transcript, event, tool_call, since=event.at)


def _hold_tool(transcript: Transcript, event: Event, tool_call: Json | None, *, since: str | None) -> None:
    """Keep the wait for a person out of a call's own time."""
    tool_call_id = (tool_call or {}).get("toolCallId")
    item = transcript.items.get(tool_id(event.run_id, tool_call_id if isinstance(tool_call_id, str) else ""))
    if item is None:
        return
    waited = _milliseconds(event.at) - _milliseconds(item["waitsSince"]) if item["waitsSince"] and since is None else 0
    transcript.change(item, waitsSince=since, waitedMs=item["waitedMs"] + max(0, waited))


def _milliseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def _resolved(transcript: Transcript, event: Event) -> None:
    item = transcript.items.get(f"asked:{event.text('requestId')}")
    if item is None:
        return
    transcript.change(
        item,
        decision=event.text("decision"),
        by=event.text("by") or event.author,
        reason=event.text_or_none("reason"),
        answers=event.data.get("answers"),
        decidedAt=event.at,
        lastSeq=event.seq,
    )
    _hold_tool(transcript, event, item["toolCall"], since=None)


def _escalated(transcript: Transcript, event: Event) -> None:
    item = transcript.items.get(f"asked:{event.text('requestId')}")
    if item is not None:
        transcript.change(item, expiresAt=event.text_or_none("expiresAt"), onExpiry=event.text("onExpiry"))


def _applied(transcript: Transcript, event: Event) -> None:
    item = transcript.items.get(f"asked:{event.text('requestId')}")
    if item is not None:
        transcript.change(item, told=event.text("told"), lastSeq=event.seq)


def _notice(transcript: Transcript, event: Event) -> None:
    transcript.put(event.begin(f"notice:{event.seq}", "notice") | {"type": event.type, "data": event.data})


def _silent(_transcript: Transcript, _event: Event) -> None:
    """Leave out what only the state of the session or its worker shows."""


FOLDS: dict[str, Fold] = {
    "run.queued": _queued,
    "run.queue_edited": _queue_edited,
    "run.held": _silent,
    "run.started": _started,
    "run.waiting": _silent,
    "run.parked": _notice,
    "run.resumed": _silent,
    "run.retrying": _retrying,
    "run.cancelling": _silent,
    "run.warning": _notice,
    "run.finished": _finished,
    "message.delta": _said_by_user,
    "message.stop": _stop,
    "tool.call": _tool,
    "tool.update": _tool,
    "todo.update": _silent,
    "human_loop.requested": _requested,
    "human_loop.resolved": _resolved,
    "human_loop.escalated": _escalated,
    "human_loop.applied": _applied,
    "usage.update": _silent,
    "workspace.synced": _silent,
    "workspace.sync_failed": _notice,
    "workspace.restored": _silent,
    "workspace.restoring": _silent,
    "workspace.syncing": _silent,
    "workspace.uploaded": _notice,
    "workspace.put_back": _notice,
    "worker.starting": _silent,
    "worker.ready": _silent,
}
"""An unknown type makes a notice: it may come from a newer executor."""
