"""The watch wakes readers, sends few hints however many are told, and notices when nobody speaks to it any more."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import functions.events.follow
import functions.runtime.log_notifier
from functions.app import create_app
from functions.events.follow import Followed, follow
from functions.runtime.database import Pool
from functions.runtime.log_notifier import LogNotifier
from functions.runtime.process import ApiProcess, api_process_of
from functions.runtime.settings import ApiSettings
from handlers.access.permissions import Actor
from handlers.access.tokens import authenticate
from handlers.event_log import last_seqs
from schema.errors import Unauthenticated
from tests.integration.functions.conftest import TOKEN, Api, wait_until

pytestmark = pytest.mark.both_postgres


class Proxy:
    """Forwards TCP to PostgreSQL; when frozen, what is connected stays connected and hears nothing more."""

    def __init__(self, dsn: str) -> None:
        self._target = conninfo_to_dict(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self._frozen: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._frozen |= self._open

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = self._connect()
                self._open |= {client, server}
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = str(self._target["host"]), self._target.get("port") or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    if client in self._frozen:
                        return
                    data = ready.recv(65_536)
                    if not data:
                        client.shutdown(socket.SHUT_RDWR)
                        server.shutdown(socket.SHUT_RDWR)
                        return
                    (server if ready is client else client).sendall(data)


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    proxy = Proxy(database)
    yield proxy
    proxy.close()


@pytest.fixture
def pool(database: str) -> Iterator[Pool]:
    pool = Pool(database, size=2, name="tests", wait_seconds=5)
    pool.open()
    yield pool
    pool.close()


@pytest.fixture
def watches(pool: Pool) -> Iterator[ExitStack]:  # noqa: ARG001  it is closed after them
    with ExitStack() as stack:
        yield stack


def started(stack: ExitStack, dsn: str, pool: Pool) -> LogNotifier:
    watch = LogNotifier(dsn, pool)
    watch.start()
    stack.callback(watch.stop)
    wait_until(lambda: watch.is_listening)
    return watch


def hint(conn: psycopg.Connection, session_id: UUID, seq: int) -> None:
    conn.execute("SELECT pg_notify('runyard_log', %s)", (f"{session_id}:{seq}",))


def test_a_reader_is_woken_by_a_hint(database: str, pool: Pool, watches: ExitStack, conn: psycopg.Connection) -> None:
    watch, session_id = started(watches, database, pool), uuid4()
    with watch.reading(session_id, threading.Event()) as reader:
        hint(conn, session_id, 7)
        assert reader.wait(6, 5) is True


def test_a_hint_of_what_is_known_wakes_nobody(
    database: str, pool: Pool, watches: ExitStack, conn: psycopg.Connection
) -> None:
    watch, session_id = started(watches, database, pool), uuid4()
    with watch.reading(session_id, threading.Event()) as reader:
        hint(conn, session_id, 7)
        reader.wait(6, 5)
        hint(conn, session_id, 7)
        assert reader.wait(7, 0.2) is False


@pytest.mark.parametrize("payload", ["", ":", "nonsense", "x:1", f"{UUID(int=7)}:", f"{UUID(int=7)}:x", "beat"])
def test_a_hint_that_says_nothing_is_passed_over(
    database: str, pool: Pool, watches: ExitStack, conn: psycopg.Connection, payload: str
) -> None:
    watch, session_id = started(watches, database, pool), uuid4()
    with watch.reading(session_id, threading.Event()) as reader:
        conn.execute("SELECT pg_notify('runyard_log', %s)", (payload,))
        hint(conn, session_id, 1)
        assert reader.wait(0, 5) is True


def test_what_is_told_here_rings_at_once_and_is_hinted_to_others(database: str, pool: Pool, watches: ExitStack) -> None:
    here, there, session_id = started(watches, database, pool), started(watches, database, pool), uuid4()
    with here.reading(session_id, threading.Event()) as near, there.reading(session_id, threading.Event()) as far:
        here.announce({session_id: 3})
        assert near.wait(2, 0) is True
        assert far.wait(2, 5) is True


def test_the_watch_is_told_of_every_call_once_it_is_committed(
    api: Api, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[dict[UUID, int], int]] = []

    def announce(heads: dict[UUID, int]) -> None:
        [(stored,)] = conn.execute("SELECT COALESCE(max(last_seq), 0) FROM session_logs").fetchall()
        told.append((dict(heads), stored))

    monkeypatch.setattr(api_process_of(api.client.application).notifier, "announce", announce)
    driver = api.bind()
    for _ in range(2):  # a plain call, and one that has an effect
        driver.report(driver.delta("x"))
        driver.report(driver.event("usage.update", inputTokens=1))
    assert [each for each in told if each[0]] == [({driver.session_id: seq}, seq) for seq in (2, 3, 4, 5, 6)]


def test_a_ring_that_somebody_else_took_for_his_own_loses_nothing(
    database: str, pool: Pool, watches: ExitStack
) -> None:
    watch, session_id, wake_up = started(watches, database, pool), uuid4(), threading.Event()
    with watch.reading(session_id, wake_up) as reader:
        watch.announce({session_id: 3})
        wake_up.clear()
        assert reader.wait(2, 0) is True


def test_many_commits_are_few_hints_and_the_last_is_among_them(
    database: str, pool: Pool, watches: ExitStack, conn: psycopg.Connection
) -> None:
    watch, session_id = started(watches, database, pool), uuid4()
    conn.execute("LISTEN runyard_log")
    for seq in range(1, 5001):
        watch.announce({session_id: seq})
    heard = []
    for notify in conn.notifies(timeout=10):
        heard.append(notify.payload)
        if notify.payload == f"{session_id}:5000":
            break
    assert heard[-1] == f"{session_id}:5000"
    assert len(heard) < 500


def test_a_connection_that_has_gone_silent_is_replaced(
    proxy: Proxy, pool: Pool, watches: ExitStack, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions.runtime.log_notifier, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(functions.runtime.log_notifier, "SILENT_SECONDS", 1.0)
    watch, session_id = started(watches, proxy.dsn, pool), uuid4()
    wait_until(lambda: proxy.connections == 2, what=lambda: "one that listens and one that notifies")
    proxy.freeze()
    wait_until(lambda: proxy.connections >= 4)
    wait_until(lambda: watch.is_listening)
    with watch.reading(session_id, threading.Event()) as reader:
        hint(conn, session_id, 1)
        assert reader.wait(0, 5) is True


def test_a_listener_whose_backend_was_ended_listens_again(
    database: str, pool: Pool, watches: ExitStack, conn: psycopg.Connection
) -> None:
    watch, session_id = started(watches, database, pool), uuid4()
    ended = "SELECT pid FROM pg_stat_activity WHERE application_name = 'runyard listen'"
    old = conn.execute(ended).fetchall()
    conn.execute("SELECT pg_terminate_backend(%s)", old[0])
    wait_until(lambda: conn.execute(ended).fetchall() not in ([], old))
    with watch.reading(session_id, threading.Event()) as reader:

        def is_woken() -> bool:
            hint(conn, session_id, 1)  # again: it may have connected but not listened yet
            return reader.wait(0, 0.1)

        wait_until(is_woken)


@pytest.fixture
def process(settings: ApiSettings, provided: None, tmp_path: Path) -> Iterator[ApiProcess]:  # noqa: ARG001  for what it does
    token = tmp_path / "token"
    token.write_text("the-local-token\n")
    process = api_process_of(create_app(settings.model_copy(update={"local_token_file": token})))
    process.start()
    yield process
    process.stop()


def test_a_server_admits_its_local_token(process: ApiProcess) -> None:
    wait_until(lambda: process.periodic.is_token_admitted)
    with process.transaction() as conn:
        assert authenticate(conn, "the-local-token").name == "admin"


def test_a_server_says_that_the_api_is_well(process: ApiProcess, conn: psycopg.Connection) -> None:
    del process
    seen = "SELECT now() - seen_at FROM control_plane_parts WHERE part = 'api'"
    wait_until(lambda: conn.execute(seen).fetchone() is not None)
    ago = conn.execute(seen).fetchone()
    assert ago is not None
    assert ago[0] < timedelta(seconds=10)


def test_a_reader_whose_login_has_ended_reads_no_further(
    api: Api, process: ApiProcess, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions.events.follow, "RECHECK_SECONDS", 0.1)
    driver = api.bind()
    user = authenticate(conn, TOKEN)
    followed = Followed(
        driver.session_id, None, Actor(user.user_id, user.name, user.role), lambda c: authenticate(c, TOKEN)
    )
    with process.stream_slots.slot() as slot:
        batches = follow(process, followed, after=0, slot=slot, tick_seconds=0.05)
        assert next(batches).written.last_seq == 2
        conn.execute("UPDATE access_tokens SET revoked_at = now()")
        with pytest.raises(Unauthenticated):
            list(batches)
    assert last_seqs(conn, [driver.session_id]) == {driver.session_id: 2}


# 9 MB each as text: the first is stored as some 100 KB, the second as less than one
LONG_TEXT = "to_jsonb(repeat('x', 9000000))"
LONG_NUMBERS = "(SELECT jsonb_agg('1e131000'::numeric) FROM generate_series(1, 70))"


@pytest.mark.parametrize(("text", "ends"), [(LONG_TEXT, [5, 8, 11]), (LONG_NUMBERS, [10, 20, 30])])
def test_events_that_make_no_one_text_are_read_in_smaller_pages(
    api: Api, process: ApiProcess, conn: psycopg.Connection, text: LiteralString, ends: list[int]
) -> None:
    driver = api.bind()
    user = authenticate(conn, TOKEN)
    conn.execute(
        "INSERT INTO run_events (session_id, seq, id, author, type, at, data)"
        " SELECT %s, 2 + i, gen_random_uuid(), 'system', 'message.delta', now(),"
        f" jsonb_build_object('text', {text}) FROM generate_series(1, 130) AS i",
        [driver.session_id],
    )
    conn.execute("UPDATE session_logs SET last_seq = 132 WHERE session_id = %s", [driver.session_id])
    followed = Followed(
        driver.session_id, None, Actor(user.user_id, user.name, user.role), lambda c: authenticate(c, TOKEN)
    )
    with process.stream_slots.slot() as slot:
        batches = follow(process, followed, after=0, slot=slot, tick_seconds=0.05)
        # a page that took too long is read again after an empty batch
        read = (batch.written.last_seq for batch in batches if batch.written.last_seq > 0)
        assert [next(read) for _ in range(3)] == ends
