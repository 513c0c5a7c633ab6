"""The Chat Completions API (SSE), as OpenCode speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from tests.model_server.calls import arguments_text, native_call
from tests.model_server.messages import Frame, words

Json = dict[str, Any]


def offered(body: Json) -> dict[str, Json]:
    return {tool["function"]["name"]: tool for tool in body.get("tools") or []}


def is_side(body: Json) -> bool:
    return "bash" not in offered(body)


def prompt_of(body: Json) -> str | None:
    last = body["messages"][-1]
    if last["role"] != "user":
        return None
    content = last["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def frames(body: Json, step: Json) -> Iterator[Frame]:
    yield None, _chunk(body, {"role": "assistant", "content": ""})
    if "thought" in step:
        yield None, _chunk(body, {"reasoning_content": step["thought"]})
    for part in words(step["text"]) if "text" in step else []:
        yield None, _chunk(body, {"content": part})
    if "tool" in step:
        name, arguments = native_call(step, offered(body))
        call = {
            "index": 0,
            "id": f"call_{uuid4().hex}",
            "type": "function",
            "function": {"name": name, "arguments": arguments_text(arguments)},
        }
        yield None, _chunk(body, {"tool_calls": [call]})
    yield None, _chunk(body, {}, finish=step.get("stop") or ("tool_calls" if "tool" in step else "stop"))
    yield None, {**_chunk(body, {}), "choices": [], "usage": _usage(step)}
    yield None, "[DONE]"


def whole(body: Json, step: Json) -> Json:
    """The answer to a request that does not stream."""
    message = {"role": "assistant", "content": step.get("text", "")}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**_chunk(body, {}), "object": "chat.completion", "choices": [choice], "usage": _usage(step)}


def _chunk(body: Json, delta: Json, finish: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": f"chatcmpl-{uuid4().hex}", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
    return {**head, "choices": [choice]}


def _usage(step: Json) -> Json:
    usage = step.get("usage") or {}
    cached, output = usage.get("cached_read", 10), usage.get("output", 20)
    total = usage.get("input", 100) + cached
    return {
        "prompt_tokens": total,
        "completion_tokens": output,
        "total_tokens": total + output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
