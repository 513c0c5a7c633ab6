"""A server that restarts: its readers come back by their cursors, over a time, and miss and double nothing."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.integration.functions.conftest import Driver, Serve, Served, wait_until
from tests.integration.functions.readers import next_message, opened, report_many, seqs_up_to

READERS = 30


def test_readers_come_back_by_their_cursors_and_miss_and_double_nothing(serve: Serve) -> None:
    old, new = serve(), serve()
    driver = old.bind()
    with ThreadPoolExecutor(1) as reporting, ExitStack() as stack:
        sockets = [stack.enter_context(opened(old, driver, after=0)) for _ in range(READERS)]
        reported = reporting.submit(report_many, through(driver, new), 1000, batch=5)
        for ws in sockets:
            assert next_message(ws)["seq"] == 1
        old.process.send_signal(signal.SIGTERM)
        ends = [read_to_the_end(ws) for ws in sockets]
        reported.result()
        assert old.process.wait(20) == 0
        for seqs, closing in ends:
            assert seqs == list(range(2, closing["seq"] + 1)), "the cursor is what came"
            with opened(new, driver, after=closing["seq"]) as again:
                assert seqs_up_to(again, 1002) == list(range(closing["seq"] + 1, 1003))
    delays = {closing["retryAfterMs"] for _, closing in ends}
    assert len(delays) > READERS / 2, "they do not all come back at once"
    assert max(delays) <= 15_000


def through(driver: Driver, served: Served) -> Driver:
    """The same driver, reporting to another process."""
    driver.send = served.send
    return driver


def read_to_the_end(ws: ClientConnection) -> tuple[list[int], dict[str, int]]:
    """The numbers of the events that still came, and the last message."""
    seqs: list[int] = []
    while (message := next_message(ws))["kind"] == "event":
        seqs.append(message["seq"])
    with pytest.raises(ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == message["code"] == 1012
    return seqs, json.loads(json.dumps(message))


def test_a_server_that_restarts_refuses_new_sockets_at_once(served: Served) -> None:
    driver = served.bind()
    with opened(served, driver, after=2) as ws:
        served.process.send_signal(signal.SIGTERM)
        assert next_message(ws)["kind"] == "closing"
    wait_until(lambda: served.process.poll() is not None, seconds=20)
    assert served.process.returncode == 0
