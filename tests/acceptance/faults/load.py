"""Sources that report all the time, whatever happens to those whom they report to."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx

from tests.acceptance.faults.plane import Plane
from tests.acceptance.waiting import wait_until
from tests.integration.functions.conftest import Driver


@contextmanager
def under_load(plane: Plane) -> Iterator[list[Driver]]:
    """Four sources that report without a pause; each sends again what was not acknowledged, as an executor does. When
    the block is left they finish; every acknowledgement is recorded."""
    drivers, over = [plane.bind() for _ in range(4)], threading.Event()

    def work(driver: Driver) -> None:
        chance = random.Random(driver.n)
        while not over.is_set():
            deliver(driver, driver.body(*[driver.delta("x") for _ in range(chance.randrange(1, 6))]))
        deliver(driver, driver.body(driver.event("run.finished", status="succeeded")))

    with ThreadPoolExecutor(len(drivers)) as workers:
        working = [workers.submit(work, driver) for driver in drivers]
        try:
            yield drivers
        finally:
            over.set()
        for each in working:
            each.result(120)


def deliver(driver: Driver, body: bytes) -> None:
    """Until it is acknowledged. Anything but a 200 is to be a 503 with Retry-After, or no answer at all."""

    def is_acknowledged() -> bool:
        with suppress(httpx.TransportError):
            status, said = driver.report_raw(body)
            assert status in (200, 503), said
            assert status == 200 or said["headers"]["retry-after"]
            return status == 200
        return False

    wait_until(is_acknowledged, seconds=150, what="it is never acknowledged")


def wait_for_more(plane: Plane, count: int = 40) -> None:
    begin = len(plane.acknowledged)
    wait_until(lambda: len(plane.acknowledged) > begin + count, seconds=90, what="nothing more is acknowledged")
