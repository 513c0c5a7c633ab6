"""Joining deltas loses nothing, moves nothing and never makes one too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from executor.runs.coalescing import WINDOW_BYTES, Draft, coalesce
from schema.events import MessageDelta, RunWarning


def delta(message_id: str, text: str) -> Draft:
    return Draft("message.delta", MessageDelta(message_id=message_id, role="assistant", text=text))


def warning(code: str) -> Draft:
    return Draft("run.warning", RunWarning(code=code, message="."))


def letters(drafts: list[Draft]) -> list[tuple[str, str]]:
    """What a reader sees, letter by letter."""
    found: list[tuple[str, str]] = []
    for draft in drafts:
        if isinstance(draft.data, MessageDelta):
            found += [(draft.data.message_id, letter) for letter in draft.data.text]
        elif isinstance(draft.data, RunWarning):
            found.append(("warning", draft.data.code))
    return found


said = st.lists(
    st.one_of(
        st.builds(delta, st.sampled_from("ab"), st.text(max_size=5)),
        st.builds(delta, st.just("a"), st.integers(20_000, 40_000).map(lambda size: "é" * size)),
        st.builds(warning, st.sampled_from("xy")),
    ),
    max_size=12,
)


@given(said)
def test_a_reader_sees_the_same_in_the_same_order(drafts: list[Draft]) -> None:
    assert letters(coalesce(drafts)) == letters(drafts)


@given(said)
def test_nothing_is_joined_above_the_window(drafts: list[Draft]) -> None:
    untouched = {draft.id: draft for draft in drafts}
    for joined in coalesce(drafts):
        size = joined.text_bytes
        assert size is None or size <= WINDOW_BYTES or joined == untouched[joined.id]


def test_neighbours_of_one_message_become_one_under_the_id_of_the_first() -> None:
    first, second = delta("a", "Hel"), delta("a", "lo")
    [joined] = coalesce([first, second])
    assert (joined.id, joined.at) == (first.id, first.at)
    assert joined.data.to_json()["text"] == "Hello"


def test_a_thought_is_not_joined_to_an_answer() -> None:
    thought = Draft("message.delta", MessageDelta(message_id="a", role="thought", text="hm"))
    assert len(coalesce([thought, delta("a", "yes")])) == 2
