"""Signatures agree with the library of Standard Webhooks, and checking one copies no body."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook

from schema.signature import MOST_SIGNATURES, callback_key, is_signed, signed_headers

KEY = callback_key(b"s" * 32, run_id=UUID(int=1), attempt=1, generation=1)
OTHER = callback_key(b"s" * 32, run_id=UUID(int=1), attempt=2, generation=1)
BODY = '{"text": "ü"}'.encode()


def test_the_library_accepts_our_headers_and_we_accept_those_of_the_library() -> None:
    headers = signed_headers(KEY, BODY)
    Webhook(KEY).verify(BODY, headers, json_parse=False)
    assert is_signed([OTHER, KEY], BODY, headers)
    assert not is_signed([OTHER], BODY, headers)
    assert not is_signed([KEY], BODY + b" ", headers)


@pytest.mark.parametrize(("minutes", "counts"), [(-6, False), (-4, True), (4, True), (6, False)])
def test_both_clocks_may_differ_by_five_minutes(minutes: int, counts: bool) -> None:  # noqa: FBT001
    headers = signed_headers(KEY, BODY, now=datetime.now(UTC) + timedelta(minutes=minutes))
    assert is_signed([KEY], BODY, headers) is counts


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", ["", "x", "ü", "1e9", "9" * 5000, "v1", "v1,", "v1,ü", "v1,AAAA"])
def test_malformed_headers_sign_nothing(name: str, value: str) -> None:
    assert not is_signed([KEY], BODY, {**signed_headers(KEY, BODY), name: value})


def test_one_of_several_signatures_counts_and_only_a_few_are_tried() -> None:
    headers = signed_headers(KEY, BODY)
    ours = headers["webhook-signature"]
    others = " ".join([signed_headers(OTHER, BODY)["webhook-signature"]] * (MOST_SIGNATURES - 1))
    assert is_signed([KEY], BODY, {**headers, "webhook-signature": f"{others} {ours}"})
    assert not is_signed([KEY], BODY, {**headers, "webhook-signature": f"{others} v2,x {ours}"})


def test_checking_a_signature_copies_no_body() -> None:
    body = b"x" * 8_000_000
    headers = {**signed_headers(KEY, b"other"), "webhook-id": "msg_1"}
    tracemalloc.start()
    try:
        assert not is_signed([KEY, OTHER], body, headers)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000
