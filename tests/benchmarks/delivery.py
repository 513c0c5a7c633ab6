"""G5, G14 and G18: events on their way to clients."""

from __future__ import annotations

import base64
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from uuid import UUID

import httpx
import psycopg

from handlers.event_log import NewEvent, append, hold_session
from handlers.sessions.transcript_rows import fold_log
from jobs.runtime.database import CONNECT
from jobs.runtime.notify import Notify
from tests.benchmarks.figures import Rounds, in_turns, percentile
from tests.benchmarks.ground import Gunicorn, Source, fresh_database, make_sources, make_token, running_server, serving
from tests.benchmarks.load import UnexpectedAnswer
from tests.benchmarks.report import Line, Wanted, rated

SOCKETS, SAMPLES = 200, 200
REPLAYED, PAGE = 10_000, 1000
SHORT_LOG, LONG_LOG, READS = 1000, 100_000, 20
TEXT = 0x81
WAIT_SECONDS = 30.0


def delivery() -> Iterator[Line]:
    with (
        running_server() as server,
        fresh_database(server) as dsn,
        serving("functions.wsgi:app", dsn) as api,
    ):
        yield from _latency(dsn, api)
        yield _replay(dsn, api)


def transcript() -> Iterator[Line]:
    with running_server() as server, fresh_database(server) as dsn, serving("functions.wsgi:app", dsn) as api:
        token = make_token(dsn)
        short, long = (_folded_log(dsn, count) for count in (SHORT_LOG, LONG_LOG))
        rounds = in_turns(lambda: _first_page(api, token, long), lambda: _first_page(api, token, short), rounds=5)
        what = f"first page of a transcript, {LONG_LOG:,} events against {SHORT_LOG:,}"
        yield rated("G18", what, rounds, unit="ms", wanted=Wanted("<=", 1.5))


def _folded_log(dsn: str, count: int) -> UUID:
    """A session with so many events, folded as the job worker does it: one item for ten events."""
    source = make_sources(dsn, 1)[0]
    with psycopg.connect(dsn) as conn:
        for first in range(0, count, PAGE):
            events = [_of_a_message(source, number) for number in range(first, first + PAGE)]
            append(conn, hold_session(conn, source.session_id), events)
        while fold_log(conn, source.session_id):
            conn.commit()
    return source.session_id


def _of_a_message(source: Source, number: int) -> NewEvent:
    data = {"messageId": f"m{number // 10}", "role": "assistant", "text": "x" * 100}
    return NewEvent(type="message.delta", data=data, run_id=source.run_id)


def _first_page(api: Gunicorn, token: str, session_id: UUID) -> float:
    """Milliseconds, the median of READS."""
    url = f"http://127.0.0.1:{api.port}/api/sessions/{session_id}/transcript"
    took = []
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        for _ in range(READS):
            began = time.perf_counter()
            page = client.get(url)
            took.append((time.perf_counter() - began) * 1000)
            assert len(page.json()["items"]) == 60
    return percentile(took, 50)


def _latency(dsn: str, api: Gunicorn) -> Iterator[Line]:
    sources = make_sources(dsn, SOCKETS)
    with ExitStack() as stack:
        sockets = _opened(stack, dsn, api, [source.session_id for source in sources])
        conn = stack.enter_context(psycopg.connect(dsn, **CONNECT))
        hints = Notify(lambda: psycopg.connect(dsn, **CONNECT, options="-c synchronous_commit=off"))
        stack.callback(hints.close)
        bare = _BareListener(dsn)
        stack.callback(bare.close)
        took: list[tuple[list[float], list[float]]] = []
        for _ in range(3):
            theirs = [bare.sample() for _ in range(SAMPLES)]
            took.append(([_sample(conn, hints, sources[i], sockets[i]) for i in range(SOCKETS)], theirs))
    for percent, most in ((50, 3.0), (99, 5.0)):
        ours, baseline = zip(
            *[(percentile(mine, percent), percentile(theirs, percent)) for mine, theirs in took], strict=True
        )
        figures = Rounds(ours, baseline)
        yield rated("G5", f"commit to frame, p{percent}", figures, unit="ms", wanted=Wanted("<=", most))


def _sample(conn: psycopg.Connection, hints: Notify, source: Source, reader: socket.socket) -> float:
    """Milliseconds from the commit's return to the frame."""
    data = {"messageId": "m", "role": "assistant", "text": "x" * 50}
    with conn.transaction():
        head = hold_session(conn, source.session_id)
        grown = append(conn, head, [NewEvent(type="message.delta", data=data, run_id=source.run_id)])
    began = time.perf_counter()
    hints.send({source.session_id: grown.last_seq})
    while not select.select([reader], [], [], WAIT_SECONDS)[0] or reader.recv(65_536)[0] != TEXT:
        if time.perf_counter() - began > WAIT_SECONDS:
            raise UnexpectedAnswer("no frame came")
    return (time.perf_counter() - began) * 1000


class _BareListener:
    """Insert, NOTIFY, and a re-read by whoever listens."""

    def __init__(self, dsn: str) -> None:
        self._writer, self._notifier, self._listener = (psycopg.connect(dsn, **CONNECT) for _ in range(3))
        self._writer.execute(
            "CREATE TABLE bare (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data text NOT NULL)"
        )
        self._notifier.execute("SET synchronous_commit = off")
        self._listener.execute("LISTEN bare")
        self._seen = 0

    def sample(self) -> float:
        """Milliseconds from the commit's return to the row's reading."""
        self._writer.execute("INSERT INTO bare (data) VALUES (%s)", ["x" * 150])
        began = time.perf_counter()
        self._notifier.execute("SELECT pg_notify('bare', 'a')")
        assert list(self._listener.notifies(timeout=WAIT_SECONDS, stop_after=1))
        rows = self._listener.execute("SELECT seq, data FROM bare WHERE seq > %s ORDER BY seq", [self._seen]).fetchall()
        self._seen = rows[-1][0]
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        for conn in (self._writer, self._notifier, self._listener):
            conn.close()


def _replay(dsn: str, api: Gunicorn) -> Line:
    source = make_sources(dsn, 1)[0]
    data = {"messageId": "m", "role": "assistant", "text": "x" * 100}
    with psycopg.connect(dsn) as conn:
        for _ in range(REPLAYED // PAGE):
            head = hold_session(conn, source.session_id)
            append(conn, head, [NewEvent(type="message.delta", data=data, run_id=source.run_id)] * PAGE)
    size = _size_of_replay(dsn, api, source.session_id)
    rounds = in_turns(
        lambda: _replayed(dsn, api, source.session_id, size), lambda: _copied(dsn, source.session_id), rounds=9
    )
    return rated("G14", "replay of 10,000 events", rounds, unit="events/s", wanted=Wanted(">=", 0.5))


def _size_of_replay(dsn: str, api: Gunicorn, session_id: UUID) -> int:
    """How many bytes the frames are that bring all events."""
    count, size, rest = 0, 0, b""
    with open_socket(api.port, make_token(dsn), session_id, after=2) as sock:
        while count < REPLAYED:
            chunk = sock.recv(1 << 20)
            assert chunk, "the server closed the connection"
            size += len(chunk)
            count, rest = count_frames(rest + chunk, count)
    return size - len(rest)


def _replayed(dsn: str, api: Gunicorn, session_id: UUID, size: int) -> float:
    """Events a second until the last byte of so many is there. To count frames while they come would take a core."""
    token, chunks = make_token(dsn), []
    began = time.perf_counter()
    with open_socket(api.port, token, session_id, after=2) as sock:
        while size > 0:
            chunks.append(sock.recv(1 << 20))
            assert chunks[-1], "the server closed the connection"
            size -= len(chunks[-1])
    took = time.perf_counter() - began
    assert count_frames(b"".join(chunks), 0) == (REPLAYED, b"")
    return REPLAYED / took


def _copied(dsn: str, session_id: UUID) -> float:
    with psycopg.connect(dsn) as conn:
        rows = f"SELECT * FROM run_events WHERE session_id = '{session_id}' AND seq > 2 ORDER BY seq"
        began = time.perf_counter()
        with conn.cursor().copy(f"COPY ({rows}) TO STDOUT") as copy:
            size = sum(1 for _ in copy)
        assert size == REPLAYED
        return REPLAYED / (time.perf_counter() - began)


def _opened(stack: ExitStack, dsn: str, api: Gunicorn, session_ids: Sequence[UUID]) -> list[socket.socket]:
    token = make_token(dsn)
    return [stack.enter_context(open_socket(api.port, token, each, after=2)) for each in session_ids]


def open_socket(port: int, token: str, session_id: UUID, *, after: int) -> socket.socket:
    return upgraded(port, f"/api/sessions/{session_id}/ws?after={after}", f"Authorization: Bearer {token}")


def upgraded(port: int, path: str, *headers: str) -> socket.socket:
    """A WebSocket of which the handshake is over; what it says is read as bytes."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *headers,
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise UnexpectedAnswer(answer.decode())
    return sock


def count_frames(received: bytes, count: int) -> tuple[int, bytes]:
    """How many whole text frames there are now, and what is left of the bytes."""
    at = 0
    while len(received) >= at + 10:
        size, head = received[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(received[at + 2 : at + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(received[at + 2 : at + 10], "big"), 10
        if len(received) < at + head + size:
            break
        count += received[at] == TEXT
        at += head + size
    return count, received[at:]
