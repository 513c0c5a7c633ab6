"""A served process: what its answers say of themselves, and what its log never says."""

from __future__ import annotations

from uuid import uuid4

from tests.integration.functions.conftest import Served
from tests.integration.functions.runtime.peers import CALLBACKS, Answer, RawPeer, head

SECRET = "a-word-that-only-headers-have"


def ask(served: Served, request: bytes) -> Answer:
    with RawPeer(served.port, request) as peer:
        return peer.answer()


def test_every_answer_says_how_it_may_be_used(served: Served) -> None:
    driver = served.bind()
    asked = [
        *(head("GET", path) for path in ("/health", "/api/me", "/api/nothing", "/api/ws", "/api/sessions?limit=x")),
        head("POST", CALLBACKS, "Content-Length: 0"),
        head("POST", CALLBACKS, "Content-Length: x"),
        head("GET", "/api/me", "Content-Encoding: gzip"),
        head("GET", f"/api/runs/{driver.run_id}", f"Authorization: Bearer {served.token}"),
        b"nonsense\r\n\r\n",
    ]
    for request in asked:
        answer = ask(served, request)
        assert answer.headers["x-content-type-options"] == "nosniff", request
        if b" /health" not in request:
            assert answer.headers["cache-control"] == "no-store", request
    status, _ = driver.report(driver.delta("x"))
    assert status == 200


def test_hosts_proxies_and_codings_are_not_believed(served: Served) -> None:
    for request, status, code in (
        (b"GET /api/me HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "unknown_host"),
        (b"GET http://evil.example/api/me HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, "unknown_host"),
        (b"GET /api/me HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (
            head("POST", "/api/runs/start", "Content-Encoding: gzip", "Content-Length: 1") + b"x",
            415,
            "unsupported_content_encoding",
        ),
        (head("POST", "/api/runs/start", "Content-Length: 2") + b"{}", 401, "unauthenticated"),
        (b"GET /health HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n", 200, None),
    ):
        answer = ask(served, request)
        assert answer.status == status, request
        assert code is None or answer.code == code
    page = ask(served, head("GET", "/sign-in", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"))
    assert "evil.example" not in f"{page.headers}{page.body!r}", "RUNYARD_TRUSTED_PROXIES names nobody"


HOSTILE = [
    head("GET", "/health", f"A: {SECRET}\x01"),
    head("GET", "/health", f"{SECRET} : x"),
    head(
        "GET", "/health", f"Authorization: Bearer {SECRET}", f"Cookie: session={SECRET}", f"X-Forwarded-For: {SECRET}"
    ),
    head("GET", "/api/me", f"Authorization: Bearer {SECRET}", f"traceparent: {SECRET}"),
    head("GET", "/api/me", f"Cookie: session={SECRET}", f"Accept: {SECRET}", f"User-Agent: {SECRET}"),
    head("GET", "/api/ws", "Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {SECRET}"),
    head("POST", CALLBACKS, "Content-Length: 2", f"webhook-id: {SECRET}", f"webhook-signature: v1,{SECRET}") + b"{}",
    head("POST", "/api/runs/start", f"Content-Length: {SECRET}"),
    head("POST", "/api/runs/start", f"Transfer-Encoding: {SECRET}"),
    head("POST", "/api/runs/start", f"Expect: {SECRET}"),
    head("POST", "/api/runs/start", f"Idempotency-Key: {SECRET}", "Content-Length: 2") + b"{}",
    f"GET /health HTTP/1.1\r\nHost: {SECRET}.example\r\n{SECRET}\r\n\r\n".encode(),
    f"GET /api/me HTTP/1.1\r\nHost: {SECRET}.example\r\n\r\n".encode(),
]


def test_the_log_holds_no_header_and_no_ids_of_another_request(served: Served) -> None:
    marked = served.bind()
    with served.client() as client:
        for _ in range(40):  # every thread has served a request of this run
            client.get(f"/api/runs/{marked.run_id}")
    before = len(served.log_lines())
    for request in HOSTILE:
        assert 400 <= ask(served, request).status < 502 or b"GET /health" in request, request
    with served.client() as client:
        client.get(f"/api/sessions/{uuid4()}")
    lines = served.log_lines()[before:]
    assert len(lines) >= 5
    assert SECRET not in served.log.read_text()
    assert str(marked.run_id) not in "".join(map(str, lines))
