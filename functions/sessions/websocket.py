"""Send a session's log over a WebSocket: first a snapshot unless a cursor is given, then each event once, in order."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from struct import pack
from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed

from functions.events.follow import Followed, follow, refuse_cursor_ahead
from functions.http.auth import actor, authenticator, permission
from functions.http.parsing import parsed
from functions.http.schemas import SocketQuery
from functions.runtime.process import api_process
from functions.runtime.socket_deadline import SocketWithDeadline, Stalled, watch_for_dead_peer
from functions.runtime.stream_slots import StreamSlot
from functions.sessions.presenters import snapshot_message
from handlers.access.permissions import session_for
from handlers.runs.read import session_state
from schema.errors import Forbidden, Invalid, NotFound, Unauthenticated, Unavailable

SERVER_OPTIONS = {"ping_interval": 20, "max_message_size": 65_536}
TICK_SECONDS = 20.0
GOODBYE_SECONDS = 1.0
SENT_TOGETHER = 1000
TEXT_FRAME = 0x81
KIND = b'{"kind":"event",'
SLOW_READER, LOGIN_EXPIRED, FORBIDDEN, RESTART = 4008, 4401, 4403, 1012

live = APIBlueprint("live", __name__, enable_openapi=False)
sockets = Sock()


@dataclass(frozen=True)
class SocketOpening:
    """The state that `open_socket` prepares before the upgrade, while a refusal can still be an HTTP problem."""

    followed: Followed
    slot: StreamSlot
    sock: SocketWithDeadline
    hello: dict[str, Any] | None
    cursor: int


@live.before_request
def open_socket() -> None:
    """Refuse bad requests, take a stream slot, and read the snapshot."""
    _refuse_bad_handshake()
    sock = request.environ.get("gunicorn.socket")
    if sock is None:
        raise Unavailable("This server has no WebSockets.", code="no_websockets")
    g.slot = api_process().stream_slots.take()
    query = parsed(SocketQuery, request.args.to_dict(), where="query")
    hello, cursor = _beginning((request.view_args or {})["session_id"], query)
    watch_for_dead_peer(sock)
    patient = SocketWithDeadline(sock)
    request.environ["gunicorn.socket"] = patient
    followed = Followed((request.view_args or {})["session_id"], None, actor(), authenticator())
    g.opening = SocketOpening(followed, g.slot, patient, hello, cursor)


@live.teardown_request
def release_slot(_error: BaseException | None) -> None:
    slot = g.pop("slot", None)
    if slot is not None:
        slot.release()


@permission("sessions:read")
def converse(ws: Any, session_id: UUID) -> None:  # noqa: ARG001  the opening holds it
    """Send events until the peer goes, stops reading, or loses its permission. No run stops because of that."""
    opening: SocketOpening = g.opening
    opening.slot.bell = ws.event  # messages of the peer ring it too
    cursor = opening.cursor
    try:
        if opening.hello is not None:
            ws.send(json.dumps(opening.hello, ensure_ascii=False))
        for batch in follow(
            api_process(), opening.followed, after=cursor, slot=opening.slot, tick_seconds=TICK_SECONDS
        ):
            _answer_messages(ws)
            for at in range(0, len(batch.written.json), SENT_TOGETHER):
                some = batch.written.json[at : at + SENT_TOGETHER]
                _send(ws, opening.sock, some)
                cursor = batch.written.first_seq + at + len(some) - 1
        _say_goodbye(ws, RESTART, "the server restarts", cursor)
    except ConnectionClosed:
        pass
    except Stalled:
        opening.sock.send_seconds = GOODBYE_SECONDS
        _say_goodbye(ws, SLOW_READER, "the reader is too slow", cursor)
    except Unauthenticated:
        _say_goodbye(ws, LOGIN_EXPIRED, "the login has expired", cursor)
    except (Forbidden, NotFound):
        _say_goodbye(ws, FORBIDDEN, "the session may not be read any more", cursor)
    finally:
        _part(ws, opening.sock)


sockets.route("/api/sessions/<uuid:session_id>/ws", bp=live)(converse)


def _send(ws: Any, sock: SocketWithDeadline, events: Sequence[bytes]) -> None:
    """Send all events at once. The library would build and send each frame alone, at ten times the cost."""
    if not ws.connected:
        raise ConnectionClosed(ws.close_reason, ws.close_message)
    sock.send(frames(events))


def frames(events: Sequence[bytes]) -> bytes:
    """Return a text message for each event, given as JSON."""
    heads = {size: _head(size + len(KIND) - 1) + KIND for size in set(map(len, events))}
    return b"".join([part for json in events for part in (heads[len(json)], json[1:])])


def _head(size: int) -> bytes:
    """Return the head of a server's text message (RFC 6455, section 5.2): final, not masked, not compressed."""
    if size < 126:
        return bytes((TEXT_FRAME, size))
    if size < 65_536:
        return pack("!BBH", TEXT_FRAME, 126, size)
    return pack("!BBQ", TEXT_FRAME, 127, size)


def _refuse_bad_handshake() -> None:
    """Check the handshake (RFC 6455, section 4.2.1), which the library answers with a stack trace when it is bad. Hide
    offered extensions from the library: Runyard's frames use none."""
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    try:
        key = base64.b64decode(request.headers.get("Sec-WebSocket-Key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if request.method != "GET" or len(key) != 16 or request.headers.get("Sec-WebSocket-Version") != "13":
        raise Invalid("This is not the handshake of a WebSocket (RFC 6455, version 13).", code="bad_handshake")


def _beginning(session_id: UUID, query: SocketQuery) -> tuple[dict[str, Any] | None, int]:
    with api_process().transaction(snapshot=True) as conn:
        if query.after is None:
            state = session_state(conn, actor(), session_id)
            return snapshot_message(state), state.session.last_seq
        refuse_cursor_ahead(session_for(conn, actor(), session_id).last_seq, query.after)
        return None, query.after


def _answer_messages(ws: Any) -> None:
    """Answer pings; ignore unknown messages of newer clients. Raises ConnectionClosed when the peer has gone."""
    while (text := ws.receive(timeout=0)) is not None:
        with suppress(ValueError, AttributeError, RecursionError):
            if json.loads(text).get("kind") == "ping":
                ws.send('{"kind":"pong"}')


def _say_goodbye(ws: Any, code: int, reason: str, seq: int) -> None:
    with suppress(ConnectionClosed, OSError):
        ws.send(json.dumps({"kind": "closing", "code": code, "reason": reason, "seq": seq}))
        ws.close(code, reason)


def _part(ws: Any, sock: SocketWithDeadline) -> None:
    """Give the peer a moment to answer Close. gunicorn would wait for a silent peer in its main thread."""
    if not ws.connected:
        ws.thread.join(GOODBYE_SECONDS)
    sock.hang_up()
    ws.thread.join(GOODBYE_SECONDS)
