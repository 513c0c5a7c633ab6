"""Readers in turn: who asks for much waits for himself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest

from functions.events.fair_readers import FairReaders

SECONDS = 10
ONE, OTHER = uuid4(), uuid4()


@pytest.fixture
def readers() -> Iterator[FairReaders]:
    readers = FairReaders(2, each=1, name="test")
    yield readers
    readers.stop()


def test_a_user_who_asks_for_much_holds_up_nobody_else(readers: FairReaders) -> None:
    over, other_has_read = threading.Event(), threading.Event()

    def read_long() -> None:
        over.wait(SECONDS)

    for _ in range(500):
        readers.submit(ONE, read_long)
    readers.submit(OTHER, other_has_read.set)
    assert other_has_read.wait(SECONDS)
    assert not over.is_set()
    over.set()


def test_the_readings_of_a_user_come_in_order_and_none_is_lost(readers: FairReaders) -> None:
    read: list[int] = []
    for _ in range(3):  # the user has nothing left to read in between
        begun, done = len(read), threading.Event()
        for number in range(begun, begun + 100):
            readers.submit(ONE, partial(read.append, number))
        readers.submit(ONE, done.set)
        assert done.wait(SECONDS)
    assert read == list(range(300))


def test_a_reading_that_fails_ends_no_other(readers: FairReaders) -> None:
    def fail() -> None:
        raise ValueError("as asked")

    done = threading.Event()
    readers.submit(ONE, fail)
    readers.submit(ONE, done.set)
    assert done.wait(SECONDS)
