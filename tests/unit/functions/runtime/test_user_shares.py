"""What one user holds of a process is counted, refused beyond a share, and free again."""

from __future__ import annotations

import threading
from contextlib import suppress
from uuid import uuid4

import pytest

from functions.runtime.settings import read_settings
from functions.runtime.socket_hub import SocketHub
from functions.runtime.stream_slots import StreamSlots, UserShares
from schema.errors import Unavailable
from schema.shares import MINUTE, Share, ShareUsedUp

TWO = Share(name="things", what="things", most=2)
MIA, TOM = uuid4(), uuid4()
NEEDED = {"database_url": "postgresql://localhost/x", "secret_key": "5e" * 32}


def test_a_share_is_the_users_own() -> None:
    shares = UserShares(TWO)
    shares.take(MIA)
    shares.take(MIA)
    with pytest.raises(ShareUsedUp):
        shares.take(MIA)
    shares.take(TOM)
    shares.give_back(MIA)
    shares.take(MIA)
    assert (shares.held_by(MIA), shares.held_by(TOM)) == (2, 1)


def test_a_refused_try_counts_nothing_and_no_user_is_remembered_for_nothing() -> None:
    shares = UserShares(TWO)
    for _ in range(2):
        shares.take(MIA)
    for _ in range(10):
        with suppress(ShareUsedUp):
            shares.take(MIA)
    for _ in range(2):
        shares.give_back(MIA)
    assert shares.held_by(MIA) == 0
    assert not shares._held


def test_nobody_and_a_share_of_zero_are_not_limited() -> None:
    shares, all_shares = UserShares(TWO), UserShares()
    for _ in range(100):
        shares.take(None)
        all_shares.take(MIA)
    assert all_shares.held_by(MIA) == 0


def test_threads_take_no_more_than_the_share() -> None:
    shares, taken = UserShares(Share(name="things", what="things", most=50)), []

    def take() -> None:
        for _ in range(20):
            with suppress(ShareUsedUp):
                shares.take(MIA)
                taken.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == shares.held_by(MIA) == 50


def test_a_stream_slot_gives_the_share_back_once() -> None:
    slots = StreamSlots(10, UserShares(TWO))
    first, _ = slots.take(MIA), slots.take(MIA)
    with pytest.raises(ShareUsedUp):
        slots.take(MIA)
    assert slots.taken == 2
    first.release()
    first.release()
    slots.take(MIA)
    with pytest.raises(ShareUsedUp):
        slots.take(MIA)
    slots.take(TOM)


def test_what_is_full_for_everyone_says_so_first() -> None:
    slots = StreamSlots(2, UserShares(TWO))
    slots.take(MIA), slots.take(MIA)
    with pytest.raises(Unavailable):
        slots.take(MIA)


def test_a_socket_slot_counts_for_its_user() -> None:
    hub = SocketHub(most=10, of_users=UserShares(TWO))
    hub.start()
    try:
        first, _ = hub.take_slot(MIA), hub.take_slot(MIA)
        with pytest.raises(ShareUsedUp):
            hub.take_slot(MIA)
        first.release()
        first.release()
        hub.take_slot(MIA)
        hub.take_slot(TOM)
        assert hub.taken == 3
    finally:
        hub.stop()


def test_an_answer_names_the_share_in_the_fields_of_the_draft() -> None:
    held = ShareUsedUp(Share(name="sockets", what="WebSockets", most=5))
    assert held.detail == "A user has at most 5 WebSockets at once. Try again in 2 s."
    assert held.headers == {
        "Retry-After": "2",
        "RateLimit-Policy": '"sockets";q=5;qu="concurrent-requests"',
        "RateLimit": '"sockets";r=0;t=2',
    }
    used = ShareUsedUp(Share(name="prompts", what="prompts", most=7, window_seconds=MINUTE), retry_seconds=11.2)
    assert used.headers["RateLimit-Policy"] == '"prompts";q=7;w=60'
    assert used.headers["Retry-After"] == "12"
    assert (used.members, used.problem_code) == ({"share": "prompts", "limit": 7}, "share_used_up")


@pytest.mark.parametrize(
    ("settings", "streams", "requests"),
    [
        ({}, 36, 48),
        ({"api_threads": 8, "api_streams_max": 2}, 8, 8),
        ({"api_threads": 40}, 15, 20),
        ({"api_streams_per_user": 3, "api_requests_per_user": 0}, 3, 0),
    ],
)
def test_half_of_a_process_is_one_users_share(settings: dict[str, int], streams: int, requests: int) -> None:
    read = read_settings(**NEEDED, auth="token", **settings)
    assert (read.stream_share.most, read.request_share.most) == (streams, requests)
