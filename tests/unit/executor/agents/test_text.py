"""Text from agents is made fit to store."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.agents.text import (
    MOST_HELD,
    BoundedText,
    HeldText,
    Redaction,
    clean_json,
    clean_text,
    cut_json,
    cut_text,
    split_text,
)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_cleaned_text_can_be_stored(text: str) -> None:
    cleaned = clean_text(text)

    assert "\x00" not in cleaned
    assert len(cleaned) == len(text)
    cleaned.encode()


def test_keys_are_cleaned_too() -> None:
    assert clean_json({"a\x00": ["\ud800", 1, None]}) == {"a\ufffd": ["\ufffd", 1, None]}


@given(st.text(), st.integers(min_value=8, max_value=200))
def test_a_cut_text_keeps_its_ends(text: str, limit: int) -> None:
    cut = cut_text(text, limit)

    if len(text.encode()) <= limit:
        assert cut == text
    else:
        assert "bytes left out" in cut
        assert len(cut.encode()) <= limit + 60


def test_the_note_counts_what_is_missing() -> None:
    assert cut_text("a" * 50 + "b" * 50, 40) == "a" * 30 + "\n[... 60 bytes left out ...]\n" + "b" * 10


def test_a_large_structure_becomes_a_cut_text() -> None:
    cut = cut_json({"rows": ["x" * 900] * 1000}, 1000)

    assert isinstance(cut, str)
    assert "left out" in cut


def test_a_structure_with_one_long_text_stays_one() -> None:
    cut = cut_json({"path": "a.txt", "content": "x" * 5000}, 1000)

    assert cut["path"] == "a.txt"
    assert len(json.dumps(cut)) < 1200


def test_numbers_and_nothing_stay_as_they_are() -> None:
    assert [cut_json(value) for value in (None, 0, False, 1.5)] == [None, 0, False, 1.5]


@given(st.lists(st.text(max_size=40), max_size=20))
def test_a_growing_text_is_whole_until_it_is_too_long(parts: list[str]) -> None:
    bounded = BoundedText(limit=40)
    for part in parts:
        bounded.add(part)
    whole = "".join(parts)

    assert bounded.size == len(whole)
    if len(whole) <= 40:
        assert bounded.read() == whole
    else:
        assert "characters left out" in bounded.read()
        assert bounded.read().endswith(whole[-5:])


def test_pieces_join_to_the_text() -> None:
    assert split_text("abcdefg", 3) == ["abc", "def", "g"]
    assert split_text("", 3) == []


def test_secrets_are_hidden_longest_first() -> None:
    redaction = Redaction(["password", "password-long"])

    assert redaction.hide("password-long and password") == "[secret] and [secret]"
    assert Redaction([]).hide("nothing") == "nothing"


def test_secrets_are_hidden_in_every_text_of_a_json_value() -> None:
    redaction = Redaction(["password-1"])
    value = {"password-1": ["see password-1", 3, None], "other": {"a": "b"}}

    assert redaction.hide_json(value) == {"[secret]": ["see [secret]", 3, None], "other": {"a": "b"}}
    assert redaction.hide_json(value["other"]) is value["other"]


def test_a_message_without_secrets_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction = Redaction(["password-1"])
    hidden: list[str] = []
    monkeypatch.setattr(redaction, "hide", hidden.append)
    value = [{"type": "text", "text": "nothing of interest"}] * 1000

    assert redaction.hide_json(value) is value
    assert hidden == []


@given(st.data())
def test_a_secret_is_hidden_however_a_text_is_split(data: st.DataObject) -> None:
    text = "my pass is password-long-1, and password-1 too; pass"
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(text)))))
    held = HeldText(Redaction(["password-1", "password-long-1"]))

    shown = [held.add(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert "".join(shown) + held.end() == "my pass is [secret], and [secret] too; pass"


def test_text_is_held_back_only_while_it_could_begin_a_secret() -> None:
    held = HeldText(Redaction(["password-1"]))

    assert [held.add(piece) for piece in ("a pass", "able road", " pass", "word-1", "!")] == [
        "a ",
        "passable road",
        " ",
        "[secret]",
        "!",
    ]
    assert held.end() == ""


def test_line_ends_cannot_hold_back_a_text_for_ever() -> None:
    held = HeldText(Redaction(["password-1"]))

    assert held.add("pass" + "\n" * MOST_HELD) == "pass" + "\n" * MOST_HELD
