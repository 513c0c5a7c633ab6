"""What the executor spools can be stored: numbers may grow by so many zeros, and not by one more."""

from __future__ import annotations

from executor.runs.coalescing import Draft
from executor.runs.sanitize import is_storable
from schema.events import ToolCall
from schema.json_limits import MAX_ZEROS_PER_EVENT, MOST_DIGITS

ZEROS = 250


def growing(*, one_beyond: bool) -> Draft:
    numbers = [1e250] * (MAX_ZEROS_PER_EVENT // ZEROS)
    last = [1e251] if one_beyond else numbers[:1]
    return Draft("tool.update", ToolCall(tool_call_id="t", output=[*numbers[1:], *last]))


def test_zeros_of_an_event_at_the_limit_and_one_beyond() -> None:
    assert is_storable(growing(one_beyond=False))
    assert not is_storable(growing(one_beyond=True))


def test_digits_of_an_integer_at_the_limit_and_one_beyond() -> None:
    def holding(output: object) -> Draft:
        return Draft("tool.update", ToolCall(tool_call_id="t", output=output))

    for sign in (1, -1):
        assert is_storable(holding(sign * 10 ** (MOST_DIGITS - 1)))
        assert not is_storable(holding(sign * 10**MOST_DIGITS))
    assert is_storable(holding("9" * (MOST_DIGITS + 1))), "a text may be of any digits"
