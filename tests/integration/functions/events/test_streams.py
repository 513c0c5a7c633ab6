"""Sockets and streams are admitted, capped, cut and closed, and none of it is at the cost of others."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.integration.functions.conftest import Serve, Served, wait_until
from tests.integration.functions.readers import (
    can_connect,
    can_stream,
    is_cut,
    next_message,
    opened,
    seqs_up_to,
    silent_peer,
    sse_events,
    threads_of,
)

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "eHh4eHh4eHh4eHh4eHh4eA==",
}


def test_a_ping_is_answered(served: Served) -> None:
    with opened(served, served.bind(), after=0) as ws:
        assert seqs_up_to(ws, 2) == [1, 2]
        for nonsense in ("not json", "[]", "[" * 60_000, '{"kind": "from the future"}'):
            ws.send(nonsense)
        ws.send('{"kind": "ping"}')
        assert next_message(ws) == {"kind": "pong"}


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
        wait_until(lambda: can_stream(served, driver), seconds=20)


def test_a_stream_whose_reader_has_gone_gives_its_place_back(serve: Serve) -> None:
    served = serve(API_THREADS="8", API_STREAMS_MAX="1")
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with served.client() as client, client.stream("GET", path) as response:
        events = sse_events(response)  # kept: the connection closes with it
        next(events)
        assert not can_stream(served, driver)
    wait_until(lambda: can_stream(served, driver))


def test_a_handshake_that_is_none_is_a_problem(served: Served) -> None:
    path = f"/api/sessions/{served.bind().session_id}/ws"
    with served.client() as client:
        half = client.get(path, headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        plain = client.get(path)
        head = client.head(path, headers=HANDSHAKE)
        elsewhere = client.get("/api/me", headers=HANDSHAKE)
    assert [(answer.status_code, answer.headers["content-type"]) for answer in (half, head, plain)] == [
        (422, "application/problem+json"),
        (422, "application/problem+json"),
        (422, "application/problem+json"),
    ]
    assert plain.json()["code"] == "bad_handshake"
    assert "has no WebSocket" in elsewhere.json()["detail"]


def test_headers_beside_the_handshake_do_not_matter(served: Served) -> None:
    odd = (b"Sec-WebSocket-Protocol: \xff", b"Connection: \xff", b"Cookie: caf\xe9=1", b"A: " + b"x" * 8000)
    lines = (f"{name}: {value}".encode() for name, value in {**HANDSHAKE, **served.headers}.items())
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as peer:
        peer.sendall(b"\r\n".join([b"GET /api/ws HTTP/1.1", b"Host: 127.0.0.1:\xff", *lines, *odd, b"", b""]))
        assert peer.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 101"


def test_an_extension_that_makes_no_sense_is_not_taken(served: Served) -> None:
    offered = {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=wide"}
    with connect(
        served.socket_url(served.bind().session_id),
        additional_headers={**served.headers, **offered},
        compression=None,
    ) as ws:
        assert next_message(ws)["kind"] == "snapshot"


def test_streams_beyond_the_cap_are_refused_and_callbacks_go_on(serve: Serve) -> None:
    served = serve(API_THREADS="8", API_STREAMS_MAX="2")
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with served.client() as client, client.stream("GET", path) as first, client.stream("GET", path) as second:
        readers = [sse_events(first), sse_events(second)]
        waiting = client.post("/api/runs/start", json={"prompt": "x"}, headers={"Prefer": "wait=5"})
        stream = client.get(path)
        assert [waiting.json()["code"], stream.json()["code"]] == ["too_many_streams"] * 2
        assert stream.headers["Retry-After"]
        assert len(client.get("/api/sessions").json()["items"]) == 1, "nothing was started"
        assert driver.report(driver.delta("x"))[0] == 200
        assert [[next(events)[0] for _ in range(3)] for events in readers] == [[1, 2, 3]] * 2
        assert can_connect(served, driver), "sockets take no stream slots"


def test_sockets_take_no_threads_and_have_a_cap_of_their_own(serve: Serve) -> None:
    served = serve(API_THREADS="8", API_STREAMS_MAX="1", API_SOCKETS_MAX="40")
    driver = served.bind()
    before = threads_of(served)
    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(served, driver, after=0)) for _ in range(40)]
        with pytest.raises(InvalidStatus) as refused, opened(served, driver):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        assert driver.report(driver.delta("x"))[0] == 200
        assert [seqs_up_to(ws, 3) for ws in sockets] == [[1, 2, 3]] * 40
        assert threads_of(served) <= before + 20, "the pools fill, no matter how many sockets there are"
    wait_until(lambda: can_connect(served, driver))


def test_a_reader_that_stops_reading_is_cut_and_the_others_are_not(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver, after=0) as good, silent_peer(served, driver) as silent:
        for _ in range(40):
            assert driver.report(driver.delta("x" * 500_000))[0] == 200
        assert seqs_up_to(good, 42) == list(range(1, 43))
        wait_until(lambda: is_cut(silent), seconds=20)
    with opened(served, driver, after=2) as again:
        assert seqs_up_to(again, 42) == list(range(3, 43))


@pytest.mark.parametrize("path", [None, "/api/ws"], ids=["session", "tab"])
def test_peers_that_never_answer_close_hold_up_nobody(served: Served, path: str | None) -> None:
    driver = served.bind()
    with ExitStack() as stack, served.client() as client:
        for _ in range(100):
            sock = stack.enter_context(silent_peer(served, driver, path=path))
            sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # Close, and then nothing
        began = time.monotonic()
        for _ in range(10):
            assert client.get("/health").status_code == 200
        assert time.monotonic() - began < 1.5
        with opened(served, driver, after=0) as ws:
            assert seqs_up_to(ws, 2) == [1, 2]


def test_a_server_that_stops_tells_its_readers_to_come_back(served: Served) -> None:
    driver = served.bind()
    path = f"/api/runs/{driver.run_id}/stream"
    with served.client() as client, opened(served, driver, after=2) as ws, client.stream("GET", path) as response:
        events = sse_events(response)
        next(events), next(events)
        served.process.send_signal(signal.SIGTERM)
        closing = next_message(ws)
        assert 0 <= closing.pop("retryAfterMs") <= 15_000
        assert closing == {"kind": "closing", "code": 1012, "reason": "the server restarts", "seq": 2}
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert list(events) == []
    assert served.process.wait(10) == 0


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
