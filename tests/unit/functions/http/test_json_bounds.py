"""Bodies are read up to their limits, and refused one beyond."""

from __future__ import annotations

import json

import pytest

from functions.http.parsing import parsed
from functions.http.strict_json import read_json
from schema.errors import Invalid
from schema.executor_api import CallbackBody
from schema.json_limits import MAX_ZEROS_PER_CALL, MOST_DIGITS, MOST_FAULTS

ZEROS = 250


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
