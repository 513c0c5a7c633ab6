"""PostgreSQL that dies, goes away, cuts everybody off, is full of idle clients, or is held up by one of them.

tests/FAULTS.md: faults 10, 11, 12, 14, 15 and 16. On a server of their own, which they may hurt.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from cli.local.postgres import Postgres, start_postgres, stop_postgres
from handlers.alarms import Limits, alarms
from tests.acceptance.faults.load import under_load, wait_for_more
from tests.acceptance.faults.plane import Plane, running_plane
from tests.acceptance.talk import Talk, outcome, texts
from tests.acceptance.waiting import wait_until
from tests.databases import EMBEDDED, Server, binaries_of
from tests.model_server.starter import ModelServer
from tests.thoroughness import times

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}


@dataclass
class OwnServer:
    """One that is stopped and started again on the same data."""

    postgres: Postgres

    def stop(self, how: signal.Signals) -> None:
        self.postgres.process.send_signal(how)
        self.postgres.process.wait(30)

    def start(self) -> None:
        self.postgres = start_postgres(self.postgres.pgdata, binaries=binaries_of(EMBEDDED))


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """With a queue of notifications that can be filled within a test."""
    folder = tmp_path_factory.mktemp("postgres")
    for parent in [folder, *folder.parents[:2]]:
        parent.chmod(0o711)
    own = OwnServer(start_postgres(folder / "data", binaries=binaries_of(EMBEDDED)))
    with psycopg.connect(own.postgres.dsn, autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
    own.stop(signal.SIGINT)
    own.start()
    Server(own.postgres).make_template()
    yield own
    stop_postgres(own.postgres.process)


@pytest.fixture(scope="module")
def one_plane(
    own_server: OwnServer, scripted_model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
    server = Server(own_server.postgres)
    dsn = server.dsn(server.create_database())
    with running_plane(dsn, tmp_path_factory.mktemp("plane"), model_url=scripted_model.url) as plane:
        yield plane


@pytest.fixture
def plane(one_plane: Plane, own_server: OwnServer) -> Iterator[Plane]:
    if own_server.postgres.process.poll() is not None:
        own_server.start()
    one_plane.make_well()
    yield one_plane
    one_plane.make_well()
    one_plane.check()


def is_all_well(plane: Plane) -> bool:
    with suppress(httpx.TransportError):
        said = httpx.get(f"{plane.url}/ready", timeout=10, trust_env=False).json()
        return {said["status"], said["listening"], said["worker"]} == {"ready", "ok"}
    return False


def test_what_was_acknowledged_survives_an_immediate_stop_under_load(
    plane: Plane, own_server: OwnServer, talk: Talk
) -> None:
    started = talk.start("sleep 4\nsay: after all", options=AUTO)
    plane.wait_for(started["runId"], "running")
    with under_load(plane) as drivers:
        for session_id in [started["sessionId"], *(driver.session_id for driver in drivers)]:
            plane.follow(session_id)
        wait_for_more(plane)
        own_server.stop(signal.SIGQUIT)
        own_server.start()
        wait_for_more(plane)
    plane.wait_for(started["runId"], "succeeded")
    assert "after all" in texts(talk.events(started["runId"]))


@pytest.mark.timeout(times(180, 1800))
def test_while_it_is_away_callbacks_are_told_to_come_again_and_all_recovers_by_itself(
    plane: Plane, own_server: OwnServer, talk: Talk
) -> None:
    processes = [plane.api.process.pid, plane.worker.process.pid]
    for _ in range(times(1, 3)):
        away = times(4, 60)
        started = talk.start(f"sleep 1\nsay: during\nsleep {away}\nsay: after", options=AUTO)
        plane.wait_for(started["runId"], "running")
        threads = plane.api.threads
        with under_load(plane) as drivers:
            own_server.stop(signal.SIGINT)
            status, said = drivers[0].report_raw(drivers[0].body())
            assert (status, said["code"]) == (503, "database_unavailable")
            assert int(said["headers"]["retry-after"]) > 0
            threading.Event().wait(away)
            own_server.start()
            back = time.monotonic()
            wait_until(lambda: is_all_well(plane), seconds=60, what="not all is well again")
            print(f"away for {away} s; all well {time.monotonic() - back:.1f} s after its return")
            wait_for_more(plane)
        plane.wait_for(started["runId"], "succeeded", seconds=away + 60)
        assert texts(talk.events(started["runId"])).split().count("during") == 1
        assert plane.api.threads <= threads + 8, "threads leak"
    assert outcome(talk.say("say: well again", options=AUTO)) == ("succeeded", None)
    assert processes == [plane.api.process.pid, plane.worker.process.pid]


def test_all_backends_ended_again_and_again_lose_nothing(plane: Plane, talk: Talk) -> None:
    started = talk.start("sleep 2\nsay: in spite of it", options=AUTO)
    plane.wait_for(started["runId"], "running")
    ending = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    with under_load(plane) as drivers:
        for driver in drivers:
            plane.follow(driver.session_id)
        for _ in range(times(8, 30)):
            plane.one(ending)
            threading.Event().wait(0.5)
        wait_for_more(plane)
    plane.wait_for(started["runId"], "succeeded")
    wait_until(lambda: is_all_well(plane), seconds=60, what="not all is well again")


@contextmanager
def stuck_listener(plane: Plane) -> Iterator[psycopg.Connection]:
    with psycopg.connect(plane.database, autocommit=True) as listener:
        listener.execute("LISTEN runyard_log")
        listener.execute("BEGIN")
        listener.execute("SELECT 1")
        yield listener


def fill_queue(plane: Plane, *, up_to: float) -> None:
    usage = "SELECT pg_notification_queue_usage()"
    with psycopg.connect(plane.database, autocommit=True) as conn, suppress(psycopg.errors.ProgramLimitExceeded):
        while float(str(plane.one(usage))) < up_to:
            conn.execute("SELECT pg_notify('runyard_log', %s || repeat('x', 7000))", [str(random.random())])


def test_a_listener_stuck_in_a_transaction_raises_an_alarm_and_ingest_goes_on(plane: Plane, talk: Talk) -> None:
    driver = plane.bind()
    reader = plane.follow(driver.session_id)
    with stuck_listener(plane):
        fill_queue(plane, up_to=0.5)
        wait_until(
            lambda: "alarm.notification_queue" in plane.worker.log.read_text(), seconds=60, what="there is no alarm"
        )
        fill_queue(plane, up_to=2)
        for _ in range(10):
            assert driver.report(driver.delta("still taken"))[0] == 200
        wait_until(lambda: reader.cursor == 12, seconds=60, what="the poll does not bring it")
        refused = talk.http.post("/api/runs/start", json={"prompt": "say: x", "options": AUTO})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert driver.finish()[0] == 200
    body = {"prompt": "say: again", "options": AUTO}
    wait_until(
        lambda: talk.http.post("/api/runs/start", json=body).status_code == 202,
        seconds=60,
        what="the queue stays full although nobody holds it up",
    )
    wait_until(lambda: is_all_well(plane), seconds=60, what="not all is well again")


def test_idle_clients_that_take_every_connection_do_not_stop_heartbeats(plane: Plane, talk: Talk) -> None:
    driver = plane.bind()
    started = talk.start("sleep 3\nsay: done", options=AUTO)
    plane.wait_for(started["runId"], "running")
    with ExitStack() as idle:
        for _ in range(300):
            with suppress(psycopg.OperationalError):
                idle.enter_context(psycopg.connect(plane.database, application_name="idle"))
        assert [driver.report()[0] for _ in range(5)] == [200] * 5
        assert driver.report(driver.delta("taken"))[0] == 200
        with ThreadPoolExecutor(24) as callers:
            answers = list(callers.map(lambda _: talk.http.get("/api/sessions").status_code, range(48)))
        assert set(answers) <= {200, 503}
        events = talk.watch(started)
        assert outcome(events) == ("succeeded", None)
    assert driver.finish()[0] == 200


def test_a_pool_that_is_taken_answers_503_after_a_bounded_wait_and_heartbeats_have_their_own(
    plane: Plane, talk: Talk
) -> None:
    held, driver = plane.bind(), plane.bind()
    tab = plane.follow(driver.session_id, by="tab")
    wait_until(lambda: tab.cursor == 2, seconds=30, what="the tab does not follow")
    over, codes = threading.Event(), set[int]()

    def stop_again_and_again() -> None:
        while not over.is_set():
            codes.add(talk.stop(str(held.run_id)).status_code)

    with psycopg.connect(plane.database) as conn, ThreadPoolExecutor(16) as callers:
        conn.execute("SELECT 1 FROM session_logs WHERE session_id = %s FOR UPDATE", [held.session_id])
        stopping = [callers.submit(stop_again_and_again) for _ in range(16)]
        try:
            wait_until(lambda: is_refused(talk), seconds=60, what="the pool is not taken")
            assert driver.report()[0] == 200
            assert driver.report(driver.delta("meanwhile"))[0] == 200
        finally:
            over.set()
            conn.rollback()
        for each in stopping:
            each.result(60)
    assert codes <= {200, 202, 503}
    assert talk.http.get("/api/sessions").status_code == 200
    if "finishedAt" not in talk.run(str(held.run_id)):
        held.finish()
    assert driver.finish()[0] == 200


def is_refused(talk: Talk) -> bool:
    answer = talk.http.get("/api/sessions")
    if answer.status_code == 200:
        return False
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    return True


def test_a_session_idle_in_a_transaction_raises_an_alarm_and_runs_go_on(plane: Plane, talk: Talk) -> None:
    with psycopg.connect(plane.database) as idle, psycopg.connect(plane.database, autocommit=True) as conn:
        idle.execute("SELECT count(*) FROM runs")
        found = alarms(conn, Limits(idle_seconds=0))
        pid = idle.info.backend_pid
        assert [alarm.code for alarm in found if f"pg_terminate_backend({pid})" in alarm.message] == [
            "idle_transaction"
        ]
        assert outcome(talk.say("say: all the same", options=AUTO)) == ("succeeded", None)
    with psycopg.connect(plane.database, autocommit=True) as conn:
        assert str(pid) not in str(alarms(conn, Limits(idle_seconds=0)))
