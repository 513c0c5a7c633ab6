"""The door of WebSockets: handshake and permission in Flask, then the socket goes to the hub.

`WS /api/sessions/{sessionId}/ws` sends one session's log, `WS /api/ws` is the one socket of a browser's tab.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import g, request
from flask_sock import Sock

from functions.http.auth import actor, permission
from functions.http.parsing import parsed
from functions.http.schemas import Nothing, SocketQuery
from functions.runtime.process import api_process
from functions.runtime.stream_slots import SocketSlot
from functions.sessions.live_sockets import live_sockets
from functions.sessions.session_reading import Beginning, read_beginning
from functions.sessions.taken_socket import take_socket
from schema.errors import Invalid, Unavailable

_KEY = "HTTP_SEC_WEBSOCKET_KEY"
_HANDSHAKE = {
    "HTTP_HOST": "localhost",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}
live = APIBlueprint("live", __name__, enable_openapi=False)
sockets = Sock()


@live.before_request
def open_socket() -> None:
    """Refuse bad requests, take a slot, and read what a session's reader gets first, while a refusal can still be an
    HTTP problem."""
    _refuse_bad_handshake()
    if request.environ.get("gunicorn.socket") is None:
        raise Unavailable("This server has no WebSockets.", code="no_websockets")
    g.socket_slot = live_sockets().hub.take_slot(actor().user_id)
    session_id: UUID | None = (request.view_args or {}).get("session_id")
    if session_id is None:
        parsed(Nothing, request.args.to_dict(), where="query")
    else:
        query = parsed(SocketQuery, request.args.to_dict(), where="query")
        g.beginning = read_beginning(api_process(), actor(), session_id, after=query.after)
    _leave_library_the_handshake_alone()


@live.teardown_request
def leave_place(_error: BaseException | None) -> None:
    """Release the slot when the socket did not come to the hub."""
    slot: SocketSlot | None = g.pop("socket_slot", None)
    if slot is not None:
        slot.release()


@permission("sessions:read")
def read_session(ws: Any, session_id: UUID) -> None:  # noqa: ARG001  the beginning holds it
    """Send events until the peer goes, stops reading, or loses its permission. No run stops because of that."""
    beginning: Beginning = g.beginning
    live_sockets().read_session(actor(), beginning, take_socket(ws), g.pop("socket_slot"))


@permission("sessions:read")
def open_tab(ws: Any) -> None:
    """Send changes of the user's list, requests that wait for them, and the sessions that the tab subscribes to."""
    live_sockets().open_tab(actor(), take_socket(ws), g.pop("socket_slot"))


sockets.route("/api/sessions/<uuid:session_id>/ws", bp=live)(read_session)
sockets.route("/api/ws", bp=live)(open_tab)


def _refuse_bad_handshake() -> None:
    """Check the handshake (RFC 6455, section 4.2.1), which the library answers with a stack trace when it is bad."""
    try:
        key = base64.b64decode(request.headers.get("Sec-WebSocket-Key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if request.method != "GET" or len(key) != 16 or request.headers.get("Sec-WebSocket-Version") != "13":
        raise Invalid("This is not the handshake of a WebSocket (RFC 6455, version 13).", code="bad_handshake")


def _leave_library_the_handshake_alone() -> None:
    """Hide all other headers from the library, which parses each again and fails on what HTTP allows. Extensions and
    subprotocols are offers, and Runyard takes none."""
    for name in [name for name in request.environ if name.startswith("HTTP_") and name != _KEY]:
        del request.environ[name]
    request.environ.update(_HANDSHAKE)
