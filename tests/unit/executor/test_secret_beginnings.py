"""Texts without the beginning of a secret are told apart quickly, and never one that holds a secret."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import hyperscan
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import secret_search
from executor.secret_beginnings import BEGINNING_BYTES, SecretBeginnings
from executor.secret_search import SecretSearch

KEY = "sk-live/9f+82-and-more"
FEW_BYTES = st.lists(st.sampled_from(b"\x00\n(a"), max_size=24).map(bytes)


@given(st.lists(FEW_BYTES.filter(bool), min_size=1, max_size=5), FEW_BYTES)
def test_a_beginning_is_found_wherever_it_stands_whatever_its_bytes(values: list[bytes], data: bytes) -> None:
    beginnings = [value[:BEGINNING_BYTES] for value in values]

    assert SecretBeginnings(values).may_be_in(data) == any(beginning in data for beginning in beginnings)


@pytest.mark.parametrize("values", [[bytes([byte]) * 3 for byte in range(256)], [b"a" * 20_000]])
def test_each_byte_and_a_long_value_can_be_searched_for(values: list[bytes]) -> None:
    beginnings = SecretBeginnings(values)

    assert all(beginnings.may_be_in(b"\xfe" + value + b"\xfe") for value in values)
    assert not beginnings.may_be_in(b"ab" * 100)


def test_threads_may_share_one() -> None:
    beginnings, without = SecretBeginnings([KEY.encode()]), b"sk-liv" * 500_000
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(beginnings.may_be_in, [without, without + KEY.encode()] * 8))

    assert found == [False, True] * 8


def test_where_hyperscan_cannot_work_each_text_is_searched_by_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherProcessor:
        def __init__(self, **_: object) -> None: ...

        def compile(self, **_: object) -> None:
            raise hyperscan.error

    monkeypatch.setattr(hyperscan, "Database", OtherProcessor)
    search, half = SecretSearch([KEY]), bytes(secret_search._QUICK_FROM)

    assert search.is_in(half + KEY.encode() + half)
    assert not search.is_in(half + half)


def test_a_long_text_holds_a_secret_only_when_the_whole_of_it_is_there() -> None:
    search, half = SecretSearch([KEY]), random.Random(1).randbytes(secret_search._QUICK_FROM)

    assert search.is_in(half + KEY.encode() + half)
    assert not search.is_in(half + KEY.encode()[:-1] + b"?" + half)
    assert not search.is_in(half + half)
