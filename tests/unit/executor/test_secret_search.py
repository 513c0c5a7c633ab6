"""Known secret values are found in every spelling, and where a text's end could begin one is known."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import secret_search
from executor.secret_search import SHORTEST, SecretSearch

KEY = 'sk-live/9f+82 "küche\\42'
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=SHORTEST, max_size=60)
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSj\n-----END KEY-----\n"


def in_base64(before: str, value: str) -> bytes:
    return base64.b64encode(f"{before}{value}:after".encode())


@pytest.mark.parametrize(
    "spelled",
    [
        KEY.encode(),
        in_base64("", KEY),
        in_base64("a", KEY),
        in_base64("user:", KEY),
        base64.urlsafe_b64encode(f"?>{KEY}".encode()),
        base64.encodebytes(b"x" * 40 + KEY.encode()),
        quote(KEY).encode(),
        quote(KEY, safe="").lower().encode(),
        quote_plus(KEY).encode(),
        "".join(f"%{byte:02x}" for byte in KEY.encode()).encode(),
        json.dumps({"key": KEY}).encode(),
        json.dumps({"key": KEY}, ensure_ascii=False).encode(),
        json.dumps(json.dumps({"key": KEY})).encode(),
        json.dumps({"key": KEY}).replace("/", "\\/").encode(),
        KEY[:7].encode() + b"\r\n" + KEY[7:].encode(),
    ],
)
def test_each_spelling_is_found(spelled: bytes) -> None:
    search = SecretSearch([KEY])

    assert search.is_in(b"before " + spelled + b" after")
    assert len(search.spans(b"before " + spelled + b" after")) == 1


@given(VALUES, st.text(max_size=20), st.text(max_size=20))
def test_any_value_is_found_as_it_is_and_in_base64(value: str, before: str, after: str) -> None:
    search = SecretSearch([value])

    assert search.is_in(f"{before}{value}{after}".encode("utf-8", "surrogatepass"))
    assert search.is_in(in_base64(before, value))
    assert search.is_in(json.dumps(f"{before}{value}{after}").encode())


@given(VALUES, st.integers(min_value=1, max_value=7))
def test_an_end_that_could_begin_a_value_is_known(value: str, count: int) -> None:
    search = SecretSearch([value])
    data = value[:count].encode()

    assert search.beginning(b"\xff" + data) <= 1
    assert search.beginning(b"\xff") == 1


def test_only_the_last_bytes_are_looked_at_for_a_beginning() -> None:
    search = SecretSearch(["password-1"])
    near = b"\n" * search.longest

    assert search.beginning(b"a pass" + near) == 2
    assert search.beginning(b"a pass" + near * 2) == len(b"a pass" + near * 2)
    assert search.beginning(b"x" * 1000 + b"pass") == 1000


def test_a_key_of_several_lines_is_found_with_other_line_ends() -> None:
    search = SecretSearch([PEM])
    text = b"the key: " + PEM.replace("\n", "\r\n").encode() + b"that was all"

    [(start, end)] = search.spans(text)

    assert text[:start] == b"the key: "
    assert text[end:].strip() == b"that was all"


@pytest.mark.parametrize("line_ends", [b"", b"\n" * 300_000], ids=["whole", "with line ends within"])
@pytest.mark.parametrize("before", [1, len(KEY.encode()) - 1])
def test_a_value_over_the_border_of_two_pieces_is_found(before: int, line_ends: bytes) -> None:
    spelled, search = KEY.encode(), SecretSearch([KEY])
    padding = b"x" * (3 * secret_search._PIECE - before)

    assert search.is_in(padding + spelled[:before] + line_ends + spelled[before:] + padding)
    assert not search.is_in(padding + spelled[:before] + line_ends + b"x" + spelled[before:] + padding)


def test_short_values_and_no_values_find_nothing() -> None:
    for search in (SecretSearch([]), SecretSearch(["1234567"])):
        assert not search
        assert not search.is_in(b"1234567")
        assert search.spans(b"1234567") == []
        assert search.beginning(b"123") == 3


def test_the_fingerprint_changes_with_the_values_alone() -> None:
    both = SecretSearch(["value one", "value two"]).fingerprint

    assert both == SecretSearch(["value two", "value one", "short"]).fingerprint
    assert both != SecretSearch(["value one"]).fingerprint
    assert SecretSearch([]).fingerprint == ""
