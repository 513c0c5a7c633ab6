"""The header `runyard-attempt` says which attempt's key signed a callback."""

from __future__ import annotations

import pytest

from schema.signature import signed_headers
from tests.integration.functions.conftest import Api, Driver, answer_json


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


def types(api: Api, driver: Driver) -> list[str]:
    return [event["type"] for event in answer_json(api.get(f"/api/runs/{driver.run_id}/events"))["items"]]


@pytest.mark.parametrize("named", [None, "1"])
def test_the_key_of_the_current_attempt_counts_when_none_is_named(driver: Driver, named: str | None) -> None:
    body = driver.body(driver.delta("x"))
    more = {} if named is None else {"runyard-attempt": named}
    assert driver.report_raw_as(body, {**signed_headers(driver.key, body), **more})[0] == 200


@pytest.mark.parametrize("named", ["2", "0", "-1", "one", "9" * 4300])
def test_the_key_of_the_named_attempt_counts_alone(driver: Driver, named: str) -> None:
    body = driver.body(driver.delta("x"))
    headers = {**signed_headers(driver.key, body), "runyard-attempt": named}
    assert driver.report_raw_as(body, headers)[0] == 401


def test_the_header_and_the_body_name_the_same_attempt(api: Api, driver: Driver) -> None:
    body = driver.body(driver.delta("x"), attempt=2)
    status, problem = driver.report_raw_as(body, {**signed_headers(driver.key, body), "runyard-attempt": "1"})
    assert (status, problem["code"]) == (422, "attempts_differ")
    assert driver.report_raw_as(body, signed_headers(driver.key, body))[1]["code"] == "stale_attempt"
    assert types(api, driver) == ["run.queued", "run.started"]
