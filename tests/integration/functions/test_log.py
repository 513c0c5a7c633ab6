"""Every reader of a log gets every event after its cursor once and in order, whatever happens to the others.

Against a real gunicorn: threads, sockets and signals are what is tried here.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from schema.wire import Json
from tests.integration.functions.conftest import Driver, Serve, Served, wait_until


@contextmanager
def opened(served: Served, driver: Driver, **query: object) -> Iterator[ClientConnection]:
    url = served.socket_url(driver.session_id, **query)
    with connect(url, additional_headers=served.headers, max_size=None) as ws:
        yield ws


def next_message(ws: ClientConnection, seconds: float = 10) -> Json:
    message: Json = json.loads(ws.recv(timeout=seconds))
    return message


def seqs_up_to(ws: ClientConnection, last: int) -> list[int]:
    """The numbers of the events that come, until one is the last."""
    seen: list[int] = []
    while not seen or seen[-1] < last:
        message = next_message(ws)
        assert message["kind"] == "event"
        seen.append(message["seq"])
    return seen


def sse_events(response: httpx.Response) -> Iterator[tuple[int, str, Json]]:
    """(id, event, data) of each event of the stream."""
    found: dict[str, str] = {}
    for line in response.iter_lines():
        if line == "" and "data" in found:
            yield int(found["id"]), found["event"], json.loads(found["data"])
        if line == "":
            found = {}
        else:
            name, _, value = line.partition(": ")
            found[name] = value


def report_many(driver: Driver, count: int, *, batch: int = 50) -> None:
    for _ in range(count // batch):
        assert driver.report(*[driver.delta("x") for _ in range(batch)])[0] == 200


def test_a_socket_begins_with_a_snapshot_and_goes_on_live(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver) as ws:
        snapshot = next_message(ws)
        assert (snapshot["kind"], snapshot["seq"], snapshot["runs"][0]["status"]) == ("snapshot", 2, "running")
        driver.report(driver.delta("hello"))
        event = next_message(ws)
        assert (event["kind"], event["seq"], event["type"]) == ("event", 3, "message.delta")
        assert event["data"]["text"] == "hello"


@pytest.mark.both_postgres
def test_a_socket_with_a_cursor_replays_and_goes_on_live(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 500)
    with opened(served, driver, after=0) as ws:
        assert seqs_up_to(ws, 502) == list(range(1, 503))
        driver.finish()
        assert next_message(ws)["type"] == "run.finished"


def test_a_ping_is_answered(served: Served) -> None:
    with opened(served, served.bind(), after=0) as ws:
        assert seqs_up_to(ws, 2) == [1, 2]
        for nonsense in ("not json", "[]", '{"kind": "from the future"}'):
            ws.send(nonsense)
        ws.send('{"kind": "ping"}')
        assert next_message(ws) == {"kind": "pong"}


@pytest.mark.both_postgres
def test_two_tabs_both_get_everything(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver, after=0) as one, opened(served, driver, after=0) as two:
        report_many(driver, 200, batch=10)
        assert seqs_up_to(one, 202) == seqs_up_to(two, 202) == list(range(1, 203))


def test_closing_every_reader_stops_no_run(served: Served) -> None:
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with opened(served, driver), served.client() as client, client.stream("GET", path) as response:
        next(sse_events(response))
    assert driver.report(driver.delta("still here"))[0] == 200
    with served.client() as client:
        assert client.get(f"/api/runs/{driver.run_id}").json()["status"] == "running"


@pytest.mark.both_postgres
def test_reconnecting_at_any_cursor_gives_the_exact_rest(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 1000, batch=100)
    driver.finish()
    chance = random.Random(7)
    for cursor in [0, 1, 1002, *(chance.randrange(1003) for _ in range(20))]:
        with opened(served, driver, after=cursor) as ws:
            assert seqs_up_to(ws, 1003) == list(range(cursor + 1, 1004))


@pytest.mark.both_postgres
def test_reconnecting_a_stream_gives_the_exact_rest(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 300)
    driver.finish()
    chance = random.Random(7)
    with served.client() as client:
        for cursor in [0, 302, *(chance.randrange(303) for _ in range(10))]:
            headers = {"Last-Event-ID": str(cursor)}
            with client.stream("GET", f"/api/runs/{driver.run_id}/stream?cursor=5", headers=headers) as response:
                assert [seq for seq, _, _ in sse_events(response)] == list(range(cursor + 1, 304))


@pytest.mark.both_postgres
def test_readers_that_come_and_go_while_it_grows_miss_nothing(served: Served) -> None:
    driver = served.bind()
    writer = threading.Thread(target=report_many, args=(driver, 600), kwargs={"batch": 5})

    def read(seed: int) -> list[int]:
        chance, seen = random.Random(seed), list[int]()
        while not seen or seen[-1] < 602:
            with opened(served, driver, after=seen[-1] if seen else 0) as ws:
                for _ in range(chance.randrange(1, 150)):
                    seen.append(next_message(ws)["seq"])
                    if seen[-1] == 602:
                        break
        return seen

    with ThreadPoolExecutor(4) as readers:
        writer.start()
        results = list(readers.map(read, range(4)))
    writer.join()
    assert results == [list(range(1, 603))] * 4


def test_a_stream_ends_after_the_end_of_its_run(served: Served) -> None:
    driver = served.bind()
    with served.client() as client, client.stream("GET", f"/api/runs/{driver.run_id}/stream") as response:
        events = sse_events(response)
        assert next(events)[:2] == (1, "run.queued")
        driver.report(driver.delta("x"))
        driver.finish()
        rest = list(events)
    assert [type_ for _, type_, _ in rest] == ["run.started", "message.delta", "run.finished"]
    assert [data["seq"] for _, _, data in rest] == [2, 3, 4]


def test_a_stream_of_a_run_that_has_ended_ends_at_once(served: Served) -> None:
    driver = served.bind()
    driver.finish()
    with served.client() as client:
        answer = client.get(f"/api/runs/{driver.run_id}/stream?cursor=3")
    assert (answer.status_code, "event:" in answer.text) == (200, False)


def test_the_headers_of_a_stream_can_be_asked_for(served: Served) -> None:
    driver = served.bind()
    with served.client() as client:
        answer = client.head(f"/api/runs/{driver.run_id}/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


@pytest.mark.parametrize(("cursor", "status"), [("-1", 422), ("x", 422), (str(2**64), 422), ("9999999", 409)])
def test_a_wrong_cursor_is_refused_before_the_upgrade(served: Served, cursor: str, status: int) -> None:
    driver = served.bind()
    with pytest.raises(InvalidStatus) as refused, opened(served, driver, after=cursor):
        pass
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["Content-Type"] == "application/problem+json"
    stream = f"/api/runs/{driver.run_id}/stream"
    with served.client() as client:
        assert client.get(f"{stream}?cursor={cursor}").status_code == status
        assert client.get(stream, headers={"Last-Event-ID": cursor}).status_code == status


def test_a_socket_needs_a_credential_and_an_own_session(served: Served) -> None:
    driver = served.bind()
    url = served.socket_url(driver.session_id)
    with pytest.raises(InvalidStatus) as stranger, connect(url):
        pass
    with (
        pytest.raises(InvalidStatus) as unknown,
        connect(served.socket_url(driver.run_id), additional_headers=served.headers),
    ):
        pass
    assert (stranger.value.response.status_code, unknown.value.response.status_code) == (401, 404)


def test_a_signed_in_browser_opens_sockets_from_our_own_pages_only(serve: Serve, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.write_text(sha256(b"c").hexdigest())
    served = serve(RUNYARD_SIGN_IN_CODE_FILE=str(code))
    url = served.socket_url(served.bind().session_id)
    with httpx.Client(base_url=served.url, trust_env=False) as browser:
        browser.get("/sign-in?code=c")
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=cookie, origin=Origin("http://evil")):
        pass
    assert refused.value.response.status_code == 403
    with connect(url, additional_headers=cookie, origin=Origin(served.url)) as ws:
        assert next_message(ws)["kind"] == "snapshot"


def test_a_stream_that_nobody_reads_gives_its_place_back(serve: Serve) -> None:
    served = serve(API_THREADS="8", API_STREAMS_MAX="1")
    driver = served.bind()
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", served.port))
        peer.sendall(
            f"GET /api/runs/{driver.run_id}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {served.token}\r\n\r\n".encode()
        )
        assert b"200" in peer.recv(20)
        for _ in range(20):
            driver.report(driver.delta("x" * 500_000))
        wait_until(lambda: can_connect(served, driver), seconds=20)


def test_a_stream_whose_reader_has_gone_gives_its_place_back(serve: Serve) -> None:
    served = serve(API_THREADS="8", API_STREAMS_MAX="1")
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with served.client() as client, client.stream("GET", path) as response:
        next(sse_events(response))
        assert not can_connect(served, driver)
    wait_until(lambda: can_connect(served, driver))


def test_a_handshake_that_is_none_is_a_problem(served: Served) -> None:
    path = f"/api/sessions/{served.bind().session_id}/ws"
    with served.client() as client:
        half = client.get(path, headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        plain = client.get(path)
    assert [(answer.status_code, answer.headers["content-type"]) for answer in (half, plain)] == [
        (422, "application/problem+json"),
        (400, "application/problem+json"),
    ]


@pytest.mark.both_postgres
def test_a_reader_sees_what_was_committed_without_a_hint(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with opened(served, driver, after=2) as ws:
        with conn.transaction():  # as a process that died between commit and hint
            conn.execute("UPDATE session_logs SET last_seq = last_seq + 1")
            conn.execute(
                """INSERT INTO run_events (session_id, seq, id, run_id, author, type, at, data)
                VALUES (%s, 3, gen_random_uuid(), %s, 'system', 'message.delta', now(), '{}')""",
                (driver.session_id, driver.run_id),
            )
        began = time.monotonic()
        assert next_message(ws)["seq"] == 3
        assert time.monotonic() - began < 1.5


@pytest.mark.both_postgres
def test_readers_of_another_process_are_woken_by_the_hint(serve: Serve) -> None:
    here, there = serve(), serve()
    driver = here.bind()
    with opened(there, driver, after=2) as ws:
        for i in range(20):
            driver.report(driver.delta(str(i)))
            assert next_message(ws)["seq"] == 3 + i


def test_streams_beyond_the_cap_are_refused_and_callbacks_go_on(serve: Serve) -> None:
    served = serve(API_THREADS="8", API_STREAMS_MAX="4")
    driver = served.bind()
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(served, driver, after=0)) for _ in range(4)]
        with pytest.raises(InvalidStatus) as refused, opened(served, driver):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        with served.client() as client:
            waiting = client.post("/api/runs/start", json={"prompt": "x"}, headers={"Prefer": "wait=5"})
            stream = client.get(f"/api/runs/{driver.run_id}/stream")
            assert [waiting.json()["code"], stream.json()["code"]] == ["too_many_streams"] * 2
            assert len(client.get("/api/sessions").json()["items"]) == 1, "nothing was started"
        assert driver.report(driver.delta("x"))[0] == 200
        assert [seqs_up_to(ws, 3) for ws in sockets] == [[1, 2, 3]] * 4
    wait_until(lambda: can_connect(served, driver))


def can_connect(served: Served, driver: Driver) -> bool:
    try:
        with opened(served, driver):
            return True
    except InvalidStatus:
        return False


def test_a_reader_that_stops_reading_is_cut_and_the_others_are_not(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver, after=0) as good, silent_peer(served, driver) as silent:
        for _ in range(40):
            assert driver.report(driver.delta("x" * 500_000))[0] == 200
        assert seqs_up_to(good, 42) == list(range(1, 43))
        wait_until(lambda: is_cut(silent), seconds=20)
    with opened(served, driver, after=2) as again:
        assert seqs_up_to(again, 42) == list(range(3, 43))


@contextmanager
def silent_peer(served: Served, driver: Driver) -> Iterator[socket.socket]:
    """A socket that has upgraded and reads no more."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", served.port))
        peer.sendall(
            f"GET /api/sessions/{driver.session_id}/ws?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {served.token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in peer.recv(30)
        yield peer


def is_cut(peer: socket.socket) -> bool:
    """Whether the other side has gone, without reading: writing to it fails."""
    try:
        peer.send(b"\x8a\x80\0\0\0\0")  # a pong
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def test_peers_that_never_answer_close_hold_up_nobody(served: Served) -> None:
    driver = served.bind()
    peers = [silent_peer(served, driver) for _ in range(5)]
    for peer in peers:
        with peer as sock:
            sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # Close, and then nothing
    began = time.monotonic()
    with served.client() as client:
        for _ in range(10):
            assert client.get("/health").status_code == 200
    assert time.monotonic() - began < 1.5


def test_a_server_that_stops_tells_its_readers_to_come_back(served: Served) -> None:
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with served.client() as client, opened(served, driver, after=2) as ws, client.stream("GET", path) as response:
        events = sse_events(response)
        next(events), next(events)
        served.process.send_signal(signal.SIGTERM)
        assert next_message(ws) == {"kind": "closing", "code": 1012, "reason": "the server restarts", "seq": 2}
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert list(events) == []
    assert served.process.wait(10) == 0


def test_readers_wait_out_a_database_that_loses_its_connections(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with opened(served, driver, after=2) as ws:
        for i in range(3):
            conn.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
            assert driver.report(driver.delta(str(i)))[0] == 200
            assert next_message(ws)["seq"] == 3 + i
    with served.client() as client:
        wait_until(lambda: client.get("/ready").json()["listening"] == "ok")


def test_an_event_of_eight_megabytes_arrives_whole(serve: Serve) -> None:
    served = serve(MAX_CALLBACK_BYTES=str(16 * 1024 * 1024))
    driver = served.bind()
    text = "0123456789abcdef" * (512 * 1024)
    with opened(served, driver, after=2) as ws:
        assert driver.report(driver.delta(text))[0] == 200
        assert next_message(ws, seconds=20)["data"]["text"] == text


def test_requests_are_logged_with_their_ids_and_no_secret(served: Served) -> None:
    driver = served.bind()
    driver.report(driver.delta("said"))
    path = f"/api/runs/{driver.run_id}"
    with served.client() as client:
        client.get(path)
    [line] = [line for line in served.log_lines() if line.get("path") == path]
    ids: dict[str, Any] = {"runId": str(driver.run_id), "component": "api", "status": 200, "level": "info"}
    assert ids.items() <= line.items()
    assert len(line["traceId"]) == 32
    text = served.log.read_text()
    assert driver.key not in text
    assert served.token not in text
