"""Send a run's events as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import structlog
from flask import Response, request

from functions.events.follow import Followed, follow
from functions.runtime.dead_peers import has_hung_up, watch_for_dead_peer
from functions.runtime.process import ApiProcess
from functions.runtime.stream_slots import StreamSlot
from schema.errors import RunyardError
from schema.events import Envelope

PING_SECONDS = 15.0
TICK_SECONDS = 3.0
SEND_SECONDS = 5.0
RETRY_MILLISECONDS = 1000
_log = structlog.get_logger("functions.events.sse")


def stream_response(
    process: ApiProcess, followed: Followed, *, after: int, slot: StreamSlot, **headers: str
) -> Response:
    """Return the response that follows the log. It releases its stream slot when it ends for any reason."""
    sock: socket.socket | None = request.environ.get("gunicorn.socket")
    if sock is not None:
        sock.settimeout(SEND_SECONDS)  # disconnect a reader that takes nothing for so long
        watch_for_dead_peer(sock)
    chunks = _follow(process, followed, after=after, slot=slot, sock=sock)
    response = Response(chunks, mimetype="text/event-stream")
    response.call_on_close(slot.release)
    response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def frame(event: Envelope) -> str:
    data = event.model_dump_json(by_alias=True, exclude_none=True)
    return f"id: {event.seq}\nevent: {event.type}\ndata: {data}\n\n"


def _follow(
    process: ApiProcess, followed: Followed, *, after: int, slot: StreamSlot, sock: socket.socket | None
) -> Iterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"  # sends the headers too
    written_at = time.monotonic()
    try:
        for batch in follow(process, followed, after=after, slot=slot, tick_seconds=TICK_SECONDS):
            if batch.events:
                yield "".join(map(frame, batch.events))
                written_at = time.monotonic()
            elif time.monotonic() - written_at >= PING_SECONDS:
                yield ": ping\n\n"
                written_at = time.monotonic()
            if not process.is_resident or (sock is not None and has_hung_up(sock)):
                return
    except RunyardError as error:  # the login has expired, or the session was deleted
        _log.info("a stream ended", reason=error.problem_code)
