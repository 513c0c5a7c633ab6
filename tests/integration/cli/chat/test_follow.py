"""Following a session over sockets that break: every event once, in order, whatever happens to the connection."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from cli.chat import client as chat_wire
from cli.chat.client import Api, ApiRefused, follow

SESSION = UUID(int=7)
EVENTS = 60


def frame(seq: int) -> str:
    return json.dumps(
        {
            "kind": "event",
            "seq": seq,
            "id": str(UUID(int=seq)),
            "sessionId": str(SESSION),
            "author": "executor",
            "type": "message.delta",
            "at": "2026-01-01T00:00:00Z",
            "data": {},
        }
    )


class Log:
    """A server of one session's log that breaks its connections by chance, each in one of four ways."""

    def __init__(self) -> None:
        self.chance = random.Random(11)
        self.connections = 0
        self.final: dict[str, object] | None = None
        self.status: int | None = None

    def refuse(self, connection: ServerConnection, _request: Request) -> Response | None:
        if self.status is None:
            return None
        return connection.respond(self.status, json.dumps({"title": "No", "detail": "Not you.", "code": "forbidden"}))

    def __call__(self, connection: ServerConnection) -> None:
        self.connections += 1
        assert connection.request is not None
        after = int(connection.request.path.partition("after=")[2])
        for seq in range(after + 1, min(after + 1 + self.chance.randint(0, 9), EVENTS + 1)):
            connection.send(frame(seq))
        if self.final is not None:
            connection.send(json.dumps({"kind": "closing", "seq": 0, "reason": "", **self.final}))
        match self.chance.randint(0, 2):
            case 0:
                connection.send(frame(max(after, 1)))  # one that was seen already
            case 1:
                connection.send(json.dumps({"kind": "closing", "code": 1012, "reason": "restart", "seq": 0}))
            case 2:
                connection.socket.close()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def api(log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(chat_wire, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(chat_wire, "TICK_SECONDS", 0.01)
    with serve(log, "127.0.0.1", 0, process_request=log.refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Api(f"http://127.0.0.1:{server.socket.getsockname()[1]}", "token")
        server.shutdown()


def test_events_come_once_and_in_order_over_broken_connections(log: Log, api: Api) -> None:
    seen: list[int] = []
    for event in follow(api, SESSION, after=0, notify=lambda _text: None):
        if event is not None:
            seen.append(event.seq)
        if seen and seen[-1] == EVENTS:
            break
    assert seen == list(range(1, EVENTS + 1))
    assert log.connections > 5


def test_expired_login_ends_it_with_a_sentence(log: Log, api: Api) -> None:
    log.final = {"code": 4401}
    with pytest.raises(ApiRefused, match="Sign in again"):
        list(follow(api, SESSION, after=EVENTS, notify=lambda _text: None))


def test_refused_handshake_says_what_the_problem_says(log: Log, api: Api) -> None:
    log.status = 403
    with pytest.raises(ApiRefused, match="Not you"):
        list(follow(api, SESSION, after=0, notify=lambda _text: None))
