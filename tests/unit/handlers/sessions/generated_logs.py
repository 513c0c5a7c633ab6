"""Logs by chance: sessions whose runs queue, talk, call tools, ask and end, in any order that an executor may send."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from handlers.sessions.transcript import Event
from schema.wire import Json, rfc3339

RUNS = ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b")
START = datetime(2026, 1, 1, tzinfo=UTC)
_ids = st.sampled_from(["1", "2"])
_diffs = st.just([{"path": "a.md", "newText": "x" * 9000}])
_tool = st.fixed_dictionaries(
    {"toolCallId": _ids},
    optional={
        "title": st.just("Edit"),
        "status": st.sampled_from(["in_progress", "completed", "failed"]),
        "output": st.sampled_from(["", "long " * 3000, {"text": "short"}]),
        "diffs": st.one_of(_diffs, st.sampled_from([[5, {"path": "b.md"}], "none"])),
        "locations": st.sampled_from([[{"path": "a.md"}, {}], [{"path": 5}, None]]),
    },
)
_asked = st.builds(
    lambda request, call: {"requestId": request, "kind": "permission", "title": "Edit", "toolCall": call},
    _ids,
    st.one_of(st.none(), st.fixed_dictionaries({"toolCallId": _ids, "diffs": _diffs})),
)
_said = st.fixed_dictionaries(
    {"messageId": _ids, "role": st.sampled_from(["assistant", "thought", "user"]), "text": st.sampled_from(["a", "你"])}
)
_DATA: dict[str, st.SearchStrategy[Json]] = {
    "run.queued": st.just({"prompt": "do it", "provider": "demo"}),
    "run.queue_edited": st.sampled_from([{"prompt": "do that"}, {"moved": True}]),
    "run.started": st.just({"status": "running"}),
    "run.parked": st.just({"status": "parked"}),
    "run.retrying": st.just({"reason": {"code": "lost", "message": "Lost."}}),
    "run.finished": st.just({"status": "succeeded", "usage": {"inputTokens": 1}}),
    "message.delta": _said,
    "message.stop": st.fixed_dictionaries({"messageId": _ids}),
    "tool.call": _tool,
    "tool.update": _tool,
    "human_loop.requested": _asked,
    "human_loop.resolved": st.builds(lambda request: {"requestId": request, "decision": "allow"}, _ids),
    "human_loop.applied": st.builds(lambda request: {"requestId": request, "told": "allow"}, _ids),
    "workspace.sync_failed": st.just({"reason": "store"}),
    "future.thing": st.just({"text": "long " * 3000}),
    "message.broken": st.just({"role": 5, "text": None}),
}
_event = st.sampled_from(sorted(_DATA)).flatmap(
    lambda type_: st.tuples(st.just(type_), st.sampled_from([*RUNS, None]), _DATA[type_])
)


def _numbered(parts: Sequence[tuple[str, str | None, Json]]) -> list[Event]:
    return [
        Event(
            seq=seq,
            type=type_,
            author="executor",
            at=rfc3339(START + timedelta(milliseconds=seq * 1500)),
            run_id=run_id,
            data=data,
        )
        for seq, (type_, run_id, data) in enumerate(parts, start=1)
    ]


logs = st.lists(_event, max_size=60).map(_numbered)
