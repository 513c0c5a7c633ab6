"""G6 and G19: what open WebSockets cost an API process, and one event on its way to 1,000 of them."""

from __future__ import annotations

import itertools
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from uuid import UUID

import psutil
import psycopg

from functions.runtime.ports import raise_open_files
from handlers.event_log import NewEvent, append, hold_session
from jobs.runtime.database import CONNECT
from jobs.runtime.notify import Notify
from tests.acceptance.stack import free_port
from tests.acceptance.waiting import wait_until
from tests.benchmarks.delivery import WAIT_SECONDS, count_frames, open_socket, upgraded
from tests.benchmarks.figures import Rounds
from tests.benchmarks.ground import ROOT, Gunicorn, Source, fresh_database, make_sources, make_token, running_server
from tests.benchmarks.ground import serving as serving_api
from tests.benchmarks.report import Line, Wanted, rated

MANY, BEFORE, SESSIONS = 4900, 100, 500
READERS, BATCHES, EVENTS = 1000, 40, 10
ROUNDS = 3
TEXT = "x" * 100
SECONDS_BETWEEN = 0.02
PONG, PONGS_EACH = b"\x8a\x80\0\0\0\0", 500


def sockets() -> Iterator[Line]:
    raise_open_files()
    with running_server() as server, fresh_database(server) as dsn, serving_api("functions.wsgi:app", dsn) as api:
        worker = psutil.Process(api.process.pid).children()[0]
        sources, token = make_sources(dsn, SESSIONS), make_token(dsn)
        with ExitStack() as stack, Sender(dsn, sources) as sender:
            opened: list[socket.socket] = []
            _open(opened, stack, api, token, sources[:BEFORE])  # the pools are full now
            before, threads = worker.memory_info().rss, worker.num_threads()
            began = time.perf_counter()
            _open(opened, stack, api, token, [sources[i % SESSIONS] for i in range(MANY)])
            took = time.perf_counter() - began
            grown, more = worker.memory_info().rss - before, worker.num_threads() - threads
            seconds = _seconds_to_all(opened, sender)
    scaled = 1000 / MANY
    note = f"{MANY:,} sockets over {SESSIONS} sessions, scaled to 1,000, after {BEFORE} others were open"
    yield Line("G19", "memory for 1,000 WebSockets", f"{grown * scaled / 2**20:.1f} MiB more", note=note)
    yield Line("G19", "threads for 1,000 WebSockets", f"{more * scaled:.0f} more")
    yield Line("G19", "WebSockets opened, one after the other", f"{MANY / took:,.0f} a second")
    what = f"an event of each of {SESSIONS} sessions to all {BEFORE + MANY:,} WebSockets of the process"
    yield Line("G19", what, f"{seconds:.1f} s")


def _seconds_to_all(opened: list[socket.socket], sender: Sender) -> float:
    """Commit an event of each session; return the seconds from then until every socket has a frame."""
    with selectors.DefaultSelector() as selector:
        for each in opened:
            selector.register(each, selectors.EVENT_READ)
        began = sender.send_each()
        while selector.get_map():
            ready = selector.select(WAIT_SECONDS)
            assert ready, f"{len(selector.get_map())} sockets got no event"
            for key, _ in ready:
                sock: socket.socket = key.fileobj  # type: ignore[assignment]
                received = sock.recv(1 << 16)
                assert received, "the server closed a socket"
                if count_frames(received, 0)[0]:  # or a ping
                    selector.unregister(sock)
        return time.perf_counter() - began


def fan_out() -> Iterator[Line]:
    with running_server() as server, fresh_database(server) as dsn, serving_api("functions.wsgi:app", dsn) as api:
        worker = psutil.Process(api.process.pid).children()[0]
        [source] = make_sources(dsn, 1)
        token = make_token(dsn)
        with (
            Sender(dsn, [source]) as sender,
            _broadcasting() as (port, baseline),
            _Readers(lambda: open_socket(api.port, token, source.session_id, after=2)) as ours,
            _Readers(lambda: upgraded(port, "/")) as theirs,
        ):
            rates, spent = [], []
            for _ in range(ROUNDS):
                rate = theirs.rate(lambda: _say_lines(baseline))
                used = worker.cpu_times()
                rates.append((ours.rate(sender.send_all), rate))
                now = worker.cpu_times()
                spent.append((now.user + now.system - used.user - used.system) / (READERS * BATCHES * EVENTS) * 10_000)
    rounds = Rounds(tuple(mine for mine, _ in rates), tuple(their for _, their in rates))
    what = f"frames to {READERS:,} sockets of one session"
    yield rated("G6", what, rounds, unit="frames/s", wanted=Wanted(">=", 1.0))
    yield Line("G6", "CPU of the API process for 10,000 frames", f"{sorted(spent)[1] * 1000:.0f} ms")


def _open(opened: list[socket.socket], stack: ExitStack, api: Gunicorn, token: str, sources: Sequence[Source]) -> None:
    """Open one more socket for each source, and say meanwhile that the others live, as clients answer pings."""
    for source in sources:
        opened.append(stack.enter_context(open_socket(api.port, token, source.session_id, after=2)))
        if len(opened) % PONGS_EACH == 0:
            for sock in opened:
                sock.sendall(PONG)


class Sender:
    """Commits events of runs, batch after batch, and tells the API of each. Between `start` and `stop` by itself."""

    def __init__(self, dsn: str, sources: Sequence[Source]) -> None:
        self._dsn, self._sources = dsn, sources
        self._last_seqs = {source.session_id: 0 for source in sources}
        self._stopping = threading.Event()

    def __enter__(self) -> Sender:
        self._conn = psycopg.connect(self._dsn, **CONNECT)
        self._hints = Notify(lambda: psycopg.connect(self._dsn, **CONNECT, options="-c synchronous_commit=off"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._hints.close()
        self._conn.close()

    def send_all(self) -> None:
        """Send BATCHES to the first session."""
        for _ in range(BATCHES):
            self._send(self._sources[:1], EVENTS)

    def send_each(self) -> float:
        """Send an event to every session, all in one commit. Return when that was."""
        return self._send(self._sources, 1)

    def start(self) -> None:
        """Send events to one session after the other until `stop`."""
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def stop(self) -> dict[UUID, int]:
        """Send a last event to every session; return the ends of all logs."""
        self._stopping.set()
        self._thread.join()
        self.send_each()
        return self._last_seqs

    def _go_on(self) -> None:
        for source in itertools.cycle(self._sources):
            if self._stopping.wait(SECONDS_BETWEEN):
                return
            self._send([source], 1)

    def _send(self, sources: Sequence[Source], count: int) -> float:
        data = {"messageId": "m", "role": "assistant", "text": TEXT}
        heads = {}
        with self._conn.transaction():
            for source in sources:
                events = [NewEvent(type="message.delta", data=data, run_id=source.run_id)] * count
                heads[source.session_id] = append(
                    self._conn, hold_session(self._conn, source.session_id), events
                ).last_seq
        committed_at = time.perf_counter()
        self._last_seqs |= heads
        self._hints.send(heads)
        return committed_at


class _Readers:
    """READERS sockets, read in one thread. The first one's frames are counted; the others get the same bytes."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect

    def __enter__(self) -> _Readers:
        self._stack = ExitStack()
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        self._sockets = [self._stack.enter_context(self._connect()) for _ in range(READERS)]
        for sock in self._sockets:
            sock.settimeout(0)
            self._selector.register(sock, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rate(self, send: Callable[[], None]) -> float:
        """Frames a second, from the first that is sent to the last that every socket has."""
        first, count, rest = self._sockets[0], 0, b""
        sizes = dict.fromkeys(self._sockets, 0)
        began = time.perf_counter()
        send()
        while count < BATCHES * EVENTS or min(sizes.values()) < sizes[first]:
            ready = self._selector.select(WAIT_SECONDS)
            assert ready, "frames are missing"
            for key, _ in ready:
                sock: socket.socket = key.fileobj  # type: ignore[assignment]
                received = sock.recv(1 << 18)
                assert received, "the server closed a connection"
                sizes[sock] += len(received)
                if sock is first:
                    count, rest = count_frames(rest + received, count)
        return READERS * count / (time.perf_counter() - began)


def _say_lines(baseline: subprocess.Popen[bytes]) -> None:
    assert baseline.stdin is not None
    event = b'{"kind":"event","seq":1234,"text":"' + b"x" * 350 + b'"}\n'  # as long as ours
    for _ in range(BATCHES * EVENTS):
        baseline.stdin.write(event)
    baseline.stdin.flush()


@contextmanager
def _broadcasting() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.baselines.broadcast_server", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    try:
        wait_until(lambda: _listens(port), seconds=30, what="the baseline does not listen")
        yield port, process
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
