"""A callback that nobody signed costs next to nothing: its body is neither parsed nor copied."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import psutil
import pytest

from schema.signature import signed_headers
from tests.integration.functions.conftest import Api, Driver, Serve, answer_json

MIB = 1024 * 1024
BODY = json.dumps({"epoch": 1, "attempt": 1, "events": [], **{f"k{i}": [] for i in range(500_000)}}).encode()


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """Bytes that Python allocated at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def send(api: Api, driver: Driver, headers: dict[str, str]) -> tuple[int, str]:
    answer = api.client.post(driver.path, data=BODY, headers={"Content-Type": "application/json", **headers})
    return answer.status_code, answer_json(answer)["code"]


def test_without_headers_the_body_is_not_even_read(api: Api, peak: Callable[[], int]) -> None:
    driver = api.bind()
    assert len(BODY) > 6 * MIB
    for _ in range(12):
        assert send(api, driver, {}) == (401, "bad_signature")
    assert peak() < 2 * MIB + len(BODY)  # the test's own client copies the body once


def test_with_the_signature_of_another_body_it_is_not_parsed(api: Api, peak: Callable[[], int]) -> None:
    driver = api.bind()
    for _ in range(12):
        assert send(api, driver, signed_headers(driver.key, b"other")) == (401, "bad_signature")
    assert peak() < 2 * MIB + 4 * len(BODY)


def test_a_signed_body_of_unknown_keys_is_refused_with_one_fault(api: Api, peak: Callable[[], int]) -> None:
    driver = api.bind()
    status, problem = driver.report_raw(BODY)
    assert (status, len(problem["errors"])) == (422, 1)
    assert peak() < 30 * len(BODY)


def test_twelve_at_once_leave_the_process_as_it_was(serve: Serve) -> None:
    served = serve()
    process = psutil.Process(served.process.pid)
    before = memory_of(process)

    def report(_: int) -> int:
        path = f"{served.url}/api/runs/{uuid4()}/callbacks"
        return httpx.post(path, content=BODY, timeout=60, trust_env=False).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(report, range(12))) <= {401, 503}
    assert memory_of(process) - before < 24 * len(BODY)


def memory_of(process: psutil.Process) -> int:
    return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
