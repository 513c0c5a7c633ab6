"""The Messages API (SSE), as Claude Code speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from tests.model_server.calls import native_call

Json = dict[str, Any]
Frame = tuple[str | None, Json | str]


def offered(body: Json) -> dict[str, Json]:
    return {tool["name"]: tool for tool in body.get("tools") or [] if "name" in tool}


def is_side(body: Json) -> bool:
    """Titles, summaries and quota checks offer no tool that works in the workspace."""
    return "Bash" not in offered(body)


def prompt_of(body: Json) -> str | None:
    said = [message for message in body["messages"] if message["role"] != "system"]
    last = said[-1]
    if last["role"] != "user":
        return None
    content = last["content"]
    if isinstance(content, str):
        return content
    if any(block["type"] == "tool_result" for block in content):
        return None
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def frames(body: Json, step: Json) -> Iterator[Frame]:
    usage = step.get("usage") or {}
    start = {
        "input_tokens": usage.get("input", 100),
        "cache_read_input_tokens": usage.get("cached_read", 10),
        "cache_creation_input_tokens": usage.get("cached_write", 5),
        "output_tokens": 1,
    }
    message = {
        "id": f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": start,
    }
    yield "message_start", {"type": "message_start", "message": message}
    for index, (block, deltas) in enumerate(_blocks(body, step)):
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    reason = step.get("stop") or ("tool_use" if "tool" in step else "end_turn")
    done = {"output_tokens": usage.get("output", 20)}
    yield (
        "message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": done,
        },
    )
    yield "message_stop", {"type": "message_stop"}


def whole(body: Json, step: Json) -> Json:
    """The answer to a request that does not stream."""
    content = [{"type": "text", "text": step.get("text", "")}]
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def _blocks(body: Json, step: Json) -> Iterator[tuple[Json, list[Json]]]:
    if "thought" in step:
        deltas = [
            {"type": "thinking_delta", "thinking": step["thought"]},
            {"type": "signature_delta", "signature": "scripted"},
        ]
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if "text" in step:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in words(step["text"])]
    if "tool" in step:
        name, arguments = native_call(step, offered(body))
        call = {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": name, "input": {}}
        yield call, [{"type": "input_json_delta", "partial_json": json.dumps(arguments)}]


def words(text: str) -> list[str]:
    """The text in pieces, so that it streams."""
    *firsts, last = text.split(" ")
    return [f"{word} " for word in firsts] + [last]
