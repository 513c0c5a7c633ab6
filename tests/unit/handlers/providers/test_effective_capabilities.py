"""What a run may count on, from what is declared, said and proved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.providers.registry import effective_capabilities

SPOKEN = st.dictionaries(st.sampled_from(["resume", "humanLoop", "questions", "model"]), st.booleans())


@given(declared=SPOKEN, said=SPOKEN, proved=SPOKEN)
def test_whoever_denies_a_capability_is_believed(
    declared: dict[str, bool], said: dict[str, bool], proved: dict[str, bool]
) -> None:
    effective = effective_capabilities(declared, said, proved)

    for name, counts in effective.items():
        assert counts == all(source.get(name, True) for source in (declared, said, proved))


@given(declared=SPOKEN, said=SPOKEN, proved=SPOKEN)
def test_a_probe_only_narrows(declared: dict[str, bool], said: dict[str, bool], proved: dict[str, bool]) -> None:
    before, after = (effective_capabilities(declared, said, known) for known in ({}, proved))

    assert set(before) == set(after) == {*declared, *said}
    assert all(before[name] for name, counts in after.items() if counts)


def test_what_an_agent_says_need_not_be_declared() -> None:
    assert effective_capabilities({}, {"resume": True}, {}) == {"resume": True}
