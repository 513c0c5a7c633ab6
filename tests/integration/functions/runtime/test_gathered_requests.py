"""A served gunicorn reads requests however they are framed, and refuses what is not HTTP or too large."""

from __future__ import annotations

import json

import httpx

from tests.integration.functions.conftest import Serve, Served
from tests.integration.functions.runtime.peers import CALLBACKS, GET, RawPeer, connected_ports, head


def test_a_chunked_body_comes_in_pieces(served: Served) -> None:
    authorization = f"Authorization: {served.headers['Authorization']}"
    prompt = json.dumps({"prompt": "hello"}).encode()
    with RawPeer(served.port) as peer:
        peer.send(
            head(
                "POST", "/api/runs/start", "Transfer-Encoding: chunked", "Content-Type: application/json", authorization
            )
        )
        for byte in prompt:
            peer.send(b"1;a=b\r\n%c\r\n" % byte)
        peer.send(b"0\r\nDigest: x\r\n\r\n")
        assert peer.answer().status == 202


BAD_CHUNKS = (b"x\r\n", b"1\r\nxyz\r\n", b"1\nx", b"0\r\nHost: x\r\n\r\n", b"0\r\nbad\r\n\r\n")
BAD_HEADS = (
    (b"GET / HTTP/1.1\n", 400, "bad_request"),
    (b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\n\r\n", 431, "headers_too_large"),
    (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
    (b"x" * 70_000, 431, "headers_too_large"),
    (head("GET", "/", "Expect: a-miracle"), 417, "expectation_failed"),
)


def test_what_is_not_http_is_refused_with_a_problem(served: Served) -> None:
    chunked = head("POST", CALLBACKS, "Transfer-Encoding: chunked")
    for data, status, code in [*BAD_HEADS, *((chunked + chunk, 400, "bad_request") for chunk in BAD_CHUNKS)]:
        with RawPeer(served.port, data) as peer:
            answer = peer.answer()
            assert (answer.status, answer.code) == (status, code), data[:100]
            assert peer.is_closed()


def test_requests_sent_together_are_answered_in_order(served: Served) -> None:
    posted = head("POST", CALLBACKS, "Content-Length: 2") + b"{}"
    chunked = head("POST", CALLBACKS, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"
    with RawPeer(served.port, GET + posted + chunked + GET + GET[:10]) as peer:
        assert [peer.answer().status for _ in range(4)] == [200, 401, 401, 200]
        peer.send(GET[10:])
        assert peer.answer().status == 200


def test_a_kept_connection_serves_one_request_after_the_other(served: Served) -> None:
    driver = served.bind()
    with served.client() as client:
        for number in range(20):
            assert client.get("/health").status_code == 200
            assert driver.report(driver.delta(str(number)))[0] == 200
    with RawPeer(served.port) as peer:
        for _ in range(20):
            peer.send(b"\r\n" + GET)
            assert peer.answer().status == 200
        assert peer.sock.getsockname()[1] in connected_ports(served)


def test_a_body_is_asked_for_once_its_head_is_accepted(served: Served) -> None:
    with RawPeer(served.port, head("POST", CALLBACKS, "Content-Length: 2", "Expect: 100-continue")) as peer:
        assert peer.line() + peer.line() == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"{}")
        assert peer.answer().status == 401


def test_a_body_too_large_is_refused_before_it_comes(serve: Serve) -> None:
    served = serve(MAX_CALLBACK_BYTES="100000", MAX_PROMPT_BYTES="1000")
    for path, size in ((CALLBACKS, 100_001), ("/api/runs/start", 6 * 1000 + 65_537)):
        for expect in ([], ["Expect: 100-continue"]):
            with RawPeer(served.port, head("POST", path, f"Content-Length: {size}", *expect)) as peer:
                answer = peer.answer()
                assert (answer.status, answer.code) == (413, "too_large")
    with RawPeer(served.port, head("POST", CALLBACKS, "Transfer-Encoding: chunked"), b"186a1\r\n") as peer:
        assert peer.answer().status == 413


def test_a_refused_body_may_still_be_sent(served: Served) -> None:
    body = b"x" * 20_000_000
    answer = httpx.post(f"{served.url}{CALLBACKS}", content=body, timeout=30, trust_env=False)
    assert answer.status_code == 413
