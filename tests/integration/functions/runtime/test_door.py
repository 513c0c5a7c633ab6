"""A served gunicorn: no peer holds a thread by what it sends or does not send."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.integration.functions.conftest import Serve, Served, free_port, wait_until
from tests.integration.functions.runtime.peers import (
    CALLBACKS,
    GET,
    HALF_BODY,
    HALF_HEAD,
    HALVES,
    RawPeer,
    connected_ports,
    drip_until_answered,
    head,
)
from tests.integration.functions.runtime.test_serving import gunicorn_refuses
from tests.structure.repository import ROOT

FEW_THREADS = {"API_THREADS": "8"}
AT_ONCE = 2.0
BESIDE_WORK = 5.0
"""Threads that wait for such a peer would wait for ten seconds."""


@contextmanager
def slow_peers(port: int, count: int) -> Iterator[list[RawPeer]]:
    """Half heads, half bodies, half chunks and half trailers, and a peer that says nothing."""
    with ExitStack() as stack:
        first = [*HALVES, b""]
        yield [stack.enter_context(RawPeer(port, first[number % len(first)])) for number in range(count)]


def health_seconds(port: int) -> float:
    begun = time.monotonic()
    assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=10, trust_env=False).status_code == 200
    return time.monotonic() - begun


def test_slow_peers_leave_all_threads_to_others(serve: Serve) -> None:
    served = serve(**FEW_THREADS)
    driver = served.bind()
    with slow_peers(served.port, 200):
        assert health_seconds(served.port) < AT_ONCE
        assert driver.report(driver.delta("x"))[0] == 200
        with served.client() as client:
            assert [client.get(path).status_code for path in ("/sign-in", "/api/me", "/ready")] == [303, 200, 200]


def test_a_request_that_drips_in_is_ended(served: Served) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(served.port, half)) for half in HALVES]
        kept = stack.enter_context(RawPeer(served.port, GET))
        assert kept.answer().status == 200
        kept.send(HALF_HEAD)
        began = time.monotonic()
        drip_until_answered([*peers, kept], every=0.5)
        assert 8 < time.monotonic() - began < 16
        answers = [peer.answer() for peer in [*peers, kept]]
        assert [(answer.status, answer.code) for answer in answers] == [(408, "request_too_slow")] * 5


def test_a_silent_peer_is_closed_without_an_answer(served: Served) -> None:
    with RawPeer(served.port) as peer:
        assert peer.is_closed()


def test_what_is_held_for_all_peers_is_bounded(serve: Serve) -> None:
    served = serve(MAX_CALLBACK_BYTES=str(2**20), MAX_PROMPT_BYTES="1000")
    begun, most_of_it = head("POST", CALLBACKS, f"Content-Length: {2**20}"), b" " * 900_000
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(served.port, begun, most_of_it)) for _ in range(20)]
        for oldest in peers[:10]:
            answer = oldest.answer()
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "server_full", "2")
        assert health_seconds(served.port) < AT_ONCE
        peers[-1].send(b" " * (2**20 - 900_000))
        assert peers[-1].answer().code == "bad_signature"


def test_a_full_server_ends_who_has_waited_longest(serve: Serve) -> None:
    served = serve(GUNICORN_CMD_ARGS="--worker-connections 50")
    with ExitStack() as stack:
        oldest = stack.enter_context(RawPeer(served.port, HALF_HEAD))
        for _ in range(60):
            stack.enter_context(RawPeer(served.port, HALF_HEAD))
        assert oldest.is_closed()
        assert health_seconds(served.port) < AT_ONCE


def test_peers_that_do_not_close_hold_up_nobody(served: Served) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(served.port)) for _ in range(20)]
        for peer in peers:
            peer.send(head("GET", "/health", "Connection: close"))
            assert peer.answer().status == 200
        assert health_seconds(served.port) < AT_ONCE


def test_peers_that_do_not_read_hold_no_thread(serve: Serve) -> None:
    served = serve(**FEW_THREADS)
    with served.client() as client:
        whole = client.get("/openapi.json").content
    asked = head("GET", "/openapi.json") * 30  # more than the kernel keeps for a peer
    with ExitStack() as stack:
        peers = [stack.enter_context(RawPeer(served.port, asked, receives=4096)) for _ in range(10)]
        ports = {peer.sock.getsockname()[1] for peer in peers}
        while not ports.isdisjoint(connected_ports(served)):
            assert health_seconds(served.port) < BESIDE_WORK
        assert all(len(peer.received()) < 30 * len(whole) for peer in peers)


def test_an_answer_is_sent_on_as_its_peer_reads(served: Served) -> None:
    with served.client() as client:
        whole = client.get("/openapi.json").content
    with RawPeer(served.port, head("GET", "/openapi.json") * 30 + GET) as patient:
        assert health_seconds(served.port) < AT_ONCE
        assert [patient.answer().body for _ in range(30)] == [whole] * 30
        assert patient.answer().json["status"] == "ok"


def test_a_stopping_server_finishes_a_request_that_has_begun(serve: Serve) -> None:
    served = serve()
    with (
        RawPeer(served.port, HALF_HEAD) as half,
        RawPeer(served.port, GET) as idle,
        RawPeer(served.port, HALF_BODY) as slow,
    ):
        assert idle.answer().status == 200
        served.process.terminate()
        assert idle.is_closed()  # it stops now
        half.send(b"t: x\r\n\r\n")
        answer = half.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert slow.answer().status == 408
        assert served.process.wait(12) == 0


def test_busy_and_slow_people_leave_executors_alone(serve: Serve, database: str) -> None:
    executor_port = free_port()
    served = serve(RUNYARD_WORKER_BIND=f"127.0.0.1:{executor_port}", **FEW_THREADS)
    driver = served.bind()
    executors = Served(served.process, executor_port, served.log)
    with psycopg.connect(database) as locking, slow_peers(served.port, 100), slow_peers(executor_port, 100):
        locking.execute("LOCK users, access_tokens IN ACCESS EXCLUSIVE MODE")
        waiting = [threading.Thread(target=ask_for_sessions, args=(served,)) for _ in range(8)]
        for thread in waiting:
            thread.start()
        wait_for_locks(locking, 8)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{served.url}/openapi.json", timeout=1, trust_env=False)
        driver.send = executors.send
        begun = time.monotonic()
        assert driver.report(driver.delta("x"))[0] == 200
        assert time.monotonic() - begun < AT_ONCE
        locking.rollback()
        for thread in waiting:
            thread.join()


def ask_for_sessions(served: Served) -> None:
    with served.client() as client:
        client.get("/api/sessions")


def wait_for_locks(conn: psycopg.Connection, count: int) -> None:
    def are_waiting() -> bool:
        found = conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        return found is not None and found[0] >= count

    wait_until(are_waiting, seconds=20)


def test_all_open_files_that_are_allowed_are_used(serve: Serve) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        served = serve()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (worker,) = psutil.Process(served.process.pid).children()
    assert worker.rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)


def test_tls_is_left_to_a_proxy(database: str) -> None:
    status, said = gunicorn_refuses(database, "--certfile", "x.pem", "--keyfile", "x.pem")
    assert (status, "reverse proxy" in said) == (2, True), said


def test_a_killed_peer_in_the_middle_of_a_request_is_forgotten(served: Served) -> None:
    (worker,) = psutil.Process(served.process.pid).children()
    before = worker.num_fds()
    for half in HALVES:
        RawPeer(served.port, half).close()
    wait_until(lambda: worker.num_fds() <= before)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(10) == 0


@pytest.fixture
def giving_port(tmp_path: Path) -> Iterator[int]:
    """Of a gunicorn whose app gives sockets away, and tells how many connections and bytes it has."""
    port, log = free_port(), tmp_path / "log"
    arguments = ["-c", f"{Path(__file__).with_name('giving_away.py')}", "-b", f"127.0.0.1:{port}"]
    app = "tests.integration.functions.runtime.giving_away:app"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments, app], cwd=ROOT, stdout=out, stderr=out
        )
    try:
        wait_until(lambda: b"Booting worker" in log.read_bytes(), seconds=30, what=log.read_text)
        yield port
    finally:
        process.terminate()
        assert process.wait(20) == 0


ASK = head("GET", "/connections")
ONLY_WHO_ASKS = f"1 1 {len(ASK)}".encode()


def test_a_socket_that_was_given_away_is_its_owners(giving_port: int) -> None:
    with RawPeer(giving_port, head("GET", "/") + b"ahead") as given, RawPeer(giving_port) as asking:
        assert given.sock.recv(100) == b"yours: ahead"
        wait_until(lambda: asking.ask(ASK).body == ONLY_WHO_ASKS)
        given.send(b"still open")
        assert given.sock.recv(100) == b"still open"


def test_every_connection_is_counted_out_once(giving_port: int) -> None:
    ended = [
        *HALVES,
        b"not HTTP\n",
        b"",
        head("POST", "/", "Content-Length: 1001"),
        head("GET", "/connections", "Connection: close"),
        head("POST", "/connections", "Transfer-Encoding: chunked") + b"0\r\nbad\r\n\r\n",
        ASK + HALF_BODY,
    ]
    for first in ended:
        RawPeer(giving_port, first).close()
    with RawPeer(giving_port, *[ASK] * 3) as unread, RawPeer(giving_port) as asking:
        unread.sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: asking.ask(ASK).body == ONLY_WHO_ASKS)
