"""The Responses API (SSE), as Codex speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from tests.model_server.calls import arguments_text, native_call
from tests.model_server.messages import Frame, words

Json = dict[str, Any]


def offered(body: Json) -> dict[str, Json]:
    return {tool.get("name") or tool["type"]: tool for tool in body.get("tools") or []}


def is_side(body: Json) -> bool:
    """A title has the form of a schema, and may offer the tools of its session."""
    has_form = ((body.get("text") or {}).get("format") or {}).get("type") == "json_schema"
    return has_form or not offered(body)


def prompt_of(body: Json) -> str | None:
    last = body["input"][-1]
    if last.get("type", "message") != "message" or last.get("role") != "user":
        return None
    return "\n".join(part.get("text", "") for part in last["content"])


def frames(body: Json, step: Json) -> Iterator[Frame]:
    head = {"id": f"resp_{uuid4().hex}", "object": "response", "model": body["model"]}
    yield _frame("response.created", response={**head, "status": "in_progress", "output": []})
    items = []
    for index, (item, deltas) in enumerate(_items(body, step)):
        yield _frame("response.output_item.added", output_index=index, item={**item, "status": "in_progress"})
        for kind, delta in deltas:
            yield _frame(kind, output_index=index, content_index=0, summary_index=0, item_id=item["id"], delta=delta)
        yield _frame("response.output_item.done", output_index=index, item=item)
        items.append(item)
    yield _frame("response.completed", response={**head, "status": "completed", "output": items, "usage": _usage(step)})


def _frame(kind: str, **data: Any) -> Frame:
    return kind, {"type": kind, **data}


def _items(body: Json, step: Json) -> Iterator[tuple[Json, list[tuple[str, str]]]]:
    place = uuid4().hex
    if "thought" in step:
        summary = [{"type": "summary_text", "text": step["thought"]}]
        item = {"type": "reasoning", "id": f"rs_{place}", "summary": summary}
        yield item, [("response.reasoning_summary_text.delta", step["thought"])]
    if "text" in step:
        content = [{"type": "output_text", "text": step["text"], "annotations": []}]
        item = {"type": "message", "id": f"msg_{place}", "role": "assistant", "content": content}
        yield item, [("response.output_text.delta", part) for part in words(step["text"])]
    if "tool" in step:
        name, arguments = native_call(step, offered(body))
        call: Json = {"id": f"fc_{place}", "call_id": f"call_{place}", "name": name, "status": "completed"}
        if isinstance(arguments, str):
            yield {"type": "custom_tool_call", **call, "input": arguments}, []
        else:
            yield {"type": "function_call", **call, "arguments": arguments_text(arguments)}, []


def _usage(step: Json) -> Json:
    usage = step.get("usage") or {}
    cached, output = usage.get("cached_read", 10), usage.get("output", 20)
    total = usage.get("input", 100) + cached
    return {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": total + output,
    }
