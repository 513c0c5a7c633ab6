"""Bodies are read up to their limits, and refused one beyond."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

import pytest

from functions.http.parsing import parsed
from functions.http.strict_json import read_json
from functions.human_loop.schemas import ReplyBody
from functions.runs.schemas import StartBody
from functions.workspaces.restore_plans import RestorePlanBody
from schema.errors import Invalid
from schema.executor_api import CallbackBody
from schema.json_limits import MAX_ZEROS_PER_CALL, MOST_DIGITS, MOST_FAULTS
from schema.wire import Json
from tests.limits_page import LIMITS, OF_BODIES
from tests.option_limits import OPTION_LIMITS, Body

ZEROS = 250
REPLY: Json = {"requestId": str(UUID(int=1)), "decision": "deny"}
FIELDS: dict[str, Sequence[Body]] = {
    "characters of the reason of an answer": [(ReplyBody, lambda many: {**REPLY, "reason": "x" * many})],
    "attachments of a run": [(StartBody, lambda many: {"prompt": "x", "attachments": ["a"] * many})],
    "paths that a restore plan is given": [(RestorePlanBody, lambda many: {"existingPaths": ["/a"] * many})],
    **{limit.what: limit.bodies for limit in OPTION_LIMITS},
}
"""How a body with so many of what the page limits looks, by its words."""


def test_zeros_of_a_call_at_the_limit_and_one_beyond() -> None:
    numbers = [1e250] * (MAX_ZEROS_PER_CALL // ZEROS)
    assert read_json(json.dumps(numbers).encode()) == numbers
    with pytest.raises(ValueError, match="very large"):
        read_json(json.dumps([1e251, *numbers[1:]]).encode())


@pytest.mark.parametrize("beyond", [0, 1])
def test_faults_at_the_limit_and_one_beyond(beyond: int) -> None:
    whole = {"epoch": 1, "attempt": 1, "events": []}
    missing = {"epoch": 1, "attempt": 1} if beyond else whole
    with pytest.raises(Invalid) as refused:
        parsed(CallbackBody, {**missing, **{f"k{i}": 0 for i in range(MOST_FAULTS)}}, where="json")
    errors = refused.value.members["errors"]
    assert isinstance(errors, list)
    assert len(errors) == MOST_FAULTS


@pytest.mark.parametrize("sign", [b"", b"-"])
def test_digits_of_an_integer_at_the_limit_and_one_beyond(sign: bytes) -> None:
    assert read_json(sign + b"9" * MOST_DIGITS) == int(sign + b"9" * MOST_DIGITS)
    with pytest.raises(ValueError, match="digits"):
        read_json(sign + b"9" * (MOST_DIGITS + 1))


def test_a_field_of_a_body_at_its_limit_and_one_beyond() -> None:
    most_of = {limit.what: limit.most for limit in LIMITS if limit.test == OF_BODIES}
    assert set(most_of) == set(FIELDS)
    for what, most in most_of.items():
        for model, body in FIELDS[what]:
            assert isinstance(parsed(model, body(most), where="json"), model)
            with pytest.raises(Invalid, match=f"{most}|{most:,}"):
                parsed(model, body(most + 1), where="json")
