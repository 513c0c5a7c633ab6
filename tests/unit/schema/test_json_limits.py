"""Validation stops early: the faults that one body causes are few, whatever its size."""

from __future__ import annotations

import tracemalloc

import pytest
from pydantic import BaseModel, ValidationError

from schema.events import Agent, AgentLost, HumanRequested, TodoUpdate
from schema.executor_api import CallbackBody
from schema.json_limits import MOST_UNKNOWN_KEYS
from schema.wire import Json

MANY = 100_000
KEYS: Json = {f"k{i}": 0 for i in range(MANY)}
CALL: Json = {"epoch": 1, "attempt": 1}
REQUEST: Json = {"requestId": "0" * 32, "kind": "permission", "title": "t", "fingerprint": "f"}


def faults(model: type[BaseModel], value: object) -> int:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return caught.value.error_count()


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (CallbackBody, {**CALL, **KEYS}),
        (CallbackBody, {**CALL, "events": [KEYS] * 1000}),
        (CallbackBody, {**CALL, "events": [0] * MANY}),
        (TodoUpdate, {"groupId": "g", "items": [0] * MANY}),
        (HumanRequested, {**REQUEST, "options": [0] * MANY}),
        (AgentLost, {"taken": [0] * MANY}),
        (Agent, {"says": dict.fromkeys(KEYS, "maybe")}),
    ],
)
def test_faults_are_few_and_small(model: type[BaseModel], value: object) -> None:
    tracemalloc.start()
    try:
        assert faults(model, value) <= 2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_a_few_unknown_keys_are_named_one_by_one() -> None:
    known = len(CallbackBody.model_fields)
    at_most = MOST_UNKNOWN_KEYS + known - len(CALL)
    assert faults(CallbackBody, {**CALL, **{f"k{i}": 0 for i in range(at_most)}}) == at_most
    assert faults(CallbackBody, {**CALL, **{f"k{i}": 0 for i in range(at_most + 1)}}) == 1
