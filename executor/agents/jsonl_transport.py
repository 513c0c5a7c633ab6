"""Read an agent's JSON-RPC messages, one per line, so that no line can end the connection.

A line that is not a message is counted, logged and skipped. A line that is too long or too deeply nested is replaced by
the part that can be rescued. Every text is cleaned here, and secrets are hidden in it (executor/agents/text.py), before
any other code sees it or cuts it.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from contextvars import ContextVar
from typing import Any, Protocol, TypeGuard

import structlog

from executor.agents.text import MAX_DEPTH, Redaction, clean_json, clean_text, cut_depth

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line that are kept complete: room for an output of 50 MB with its quotes escaped."""
ENDS_KEPT = 48 * 1024
READ_SIZE = 256 * 1024


class AfterSend(Protocol):
    def __call__(self, *, sent: bool) -> None: ...


after_send: ContextVar[AfterSend | None] = ContextVar("after_send", default=None)
"""A request's handler sets it; it is called once the answer was written or could not be."""

_log = structlog.get_logger(__name__)
_UNFIT = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|\x00")


class LineTransport:
    """ACP's Transport over the pipes of a process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, redaction: Redaction) -> None:
        self._reader = reader
        self._writer = writer
        self._redaction = redaction
        self._buffer = bytearray()
        self.garbage_lines = 0
        self.long_lines = 0
        self.last_garbage = ""

    async def send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        notify = after_send.get() if "method" not in message else None
        try:
            self._writer.write(line)
            await self._writer.drain()
        except (OSError, RuntimeError):
            if notify:
                notify(sent=False)
            raise ConnectionError("the agent closed its input") from None
        if notify:
            notify(sent=True)

    async def receive(self) -> dict[str, Any] | None:
        while (line := await self._next_line()) is not None:
            message = self._parse(line)
            if message is not None and not _may_be_ignored(message):
                return message
        return None

    async def close(self) -> None:
        self._writer.close()

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return None
        text = line.decode("utf-8", "replace")
        try:
            message = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        except RecursionError:
            message = rescued(text[:ENDS_KEPT], text[-ENDS_KEPT:], len(line))
        except ValueError:
            message = None
        if not _is_message(message):
            self._count_garbage(text)
            return None
        if line.count(b"{") + line.count(b"[") > MAX_DEPTH:
            message = cut_depth(message)
        cleaned = clean_json(message) if _UNFIT.search(line) else message
        return _with_valid_error(self._redaction.hide_json(cleaned))

    def _count_garbage(self, text: str) -> None:
        self.garbage_lines += 1
        self.last_garbage = clean_text(self._redaction.hide(text.strip()))[:300]
        if self.garbage_lines <= 20:
            _log.warning("agent.garbage_line", line=self.last_garbage, count=self.garbage_lines)

    async def _next_line(self) -> bytes | None:
        """Return the next line without its end, then the rest at the end of the stream, then None."""
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            if len(self._buffer) > LINE_LIMIT:
                return await self._rescue_long_line()
            searched = len(self._buffer)
            data = await self._reader.read(READ_SIZE)
            if not data:
                line = bytes(self._buffer)
                self._buffer.clear()
                return line or None
            self._buffer += data

    async def _rescue_long_line(self) -> bytes:
        """Read a line of any length to its end, keeping only both ends of it."""
        head, size = bytes(self._buffer[:ENDS_KEPT]), len(self._buffer)
        tail = bytes(self._buffer[-ENDS_KEPT:])
        self._buffer.clear()
        while data := await self._reader.read(READ_SIZE):
            end = data.find(b"\n")
            part = data if end < 0 else data[:end]
            size += len(part)
            tail = (tail + part)[-ENDS_KEPT:]
            if end >= 0:
                self._buffer += data[end + 1 :]
                break
        self.long_lines += 1
        _log.warning("agent.long_line", bytes=size, count=self.long_lines)
        return json.dumps(rescued(head.decode("utf-8", "replace"), tail.decode("utf-8", "replace"), size)).encode()


def _is_message(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether the value is an object whose id, if any, can be looked up."""
    return isinstance(value, dict) and isinstance(value.get("id"), str | int | float | None)


def _may_be_ignored(message: dict[str, Any]) -> bool:
    """Tell whether any receiver may ignore this notification, as `$/cancel_request` for a request of an ended turn."""
    return "id" not in message and str(message.get("method")).startswith("$/")


def _with_valid_error(message: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with a valid error object. Some agents send other types, and a caller waits for the answer."""
    error = message.get("error")
    if error is None or isinstance(error, dict):
        return message
    return {**message, "error": {"code": -32603, "message": str(error)}}


def rescued(head: str, tail: str, size: int) -> dict[str, Any]:
    """Return a replacement for a message of `size` bytes of which only both ends were kept.

    A tool call's update keeps its id and status. A request or an answer becomes an error, so that its caller stops
    waiting.
    """
    note = f"[a message of {size} bytes was left out]"
    ends = head + tail
    session, call = _text_of("sessionId", ends), _text_of("toolCallId", ends)
    if session and call:
        content = [{"type": "content", "content": {"type": "text", "text": f"{head[-2048:]}\n{note}\n{tail[:2048]}"}}]
        update = {"sessionUpdate": "tool_call_update", "toolCallId": call, "content": content}
        status = _text_of("status", ends)
        if status in ("in_progress", "completed", "failed"):
            update["status"] = status
        return {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": session, "update": update}}
    number = re.search(r'"id"\s*:\s*(\d+)', head) or re.search(r'"id"\s*:\s*(\d+)\s*\}\s*$', tail)
    if number and '"method"' not in head:
        return {"jsonrpc": "2.0", "id": int(number[1]), "error": {"code": -32603, "message": note}}
    return {"jsonrpc": "2.0", "method": "_runyard/left_out", "params": {"bytes": size}}


def _text_of(key: str, text: str) -> str | None:
    match = re.search(rf'"{key}"\s*:\s*"([^"\\]{{1,300}})"', text)
    return match[1] if match else None


def _finite(digits: str) -> float | None:
    """Parse a number; None for infinity, which neither JSON nor PostgreSQL accepts. Python reads 1e999 as infinity."""
    number = float(digits)
    return number if math.isfinite(number) else None
