"""A form's answers are judged as JSON Schema judges them, and no form of an agent's is an error."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.forms import MOST_ANSWERS, MOST_CHOICES, MOST_FIELDS, MOST_FORM_BYTES, fault_of_form, faults_of
from schema.json_limits import MOST_FAULTS
from schema.wire import Json
from tests.steps import steps_of
from tests.thoroughness import by_chance, chances

VALUES = st.one_of(
    st.sampled_from(["a", "b", "abc", "", 0, 1, 2.5, 3.0, True, False]), st.lists(st.sampled_from(["a", "b", 1]))
)
SMALL = st.integers(0, 3)
FIELDS = st.one_of(
    st.fixed_dictionaries({"type": st.just("string")}, optional={"minLength": SMALL, "maxLength": SMALL}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["number", "integer"])}, optional={"minimum": SMALL, "maximum": SMALL}
    ),
    st.just({"type": "boolean"}),
    st.just({"type": "string", "enum": ["a", "b"]}),
    st.just({"type": "string", "oneOf": [{"const": "a", "title": "A"}, {"const": "abc", "title": "Abc"}]}),
    st.fixed_dictionaries(
        {
            "type": st.just("array"),
            "items": st.sampled_from([{"type": "string", "enum": ["a", "b"]}, {"type": "string"}]),
        },
        optional={"minItems": SMALL, "maxItems": SMALL},
    ),
)
NAMES = st.sampled_from(["x", "y", "z"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["properties", "required", "type", "enum", "oneOf", "const", "items", "minLength", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@by_chance
@chances(500, 20_000)
@given(st.dictionaries(NAMES, FIELDS, min_size=1), st.lists(NAMES), st.dictionaries(NAMES, VALUES))
def test_answers_are_judged_as_json_schema_does(fields: Json, required: list[str], answers: Json) -> None:
    needed = sorted(set(required) & set(fields))
    form = {"type": "object", "properties": fields, "required": needed, "additionalProperties": False}
    assert (faults_of(answers, form) == {}) == jsonschema_rs.is_valid(form, answers)


@by_chance
@chances(300, 20_000)
@given(st.dictionaries(NAMES, ANYTHING), ANYTHING)
def test_no_form_is_an_error(answers: Json, form: object) -> None:
    faults_of(answers, form if isinstance(form, dict) else {"properties": form})


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ({"type": "integer"}, "5", "must be a whole number"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "must be one of: a, b"),
        ({"type": "string", "minLength": 3}, "a", "must be at least 3 characters"),
        ({"type": "boolean"}, 1, "must be true or false"),
    ],
)
def test_a_fault_names_its_field_and_what_is_wrong(field: Json, value: object, problem: str) -> None:
    assert faults_of({"x": value}, {"properties": {"x": field}}) == {"x": problem}


def test_a_needed_field_and_one_that_is_not_there_are_named() -> None:
    faults = faults_of({"other": 1}, {"properties": {"x": {"type": "string"}}, "required": ["x"]})
    assert faults == {"x": "is required", "other": "is not a field of this form"}


def form_of(choices: int, fields: int = 1) -> Json:
    offered = {"type": "array", "items": {"enum": [f"v{i}" for i in range(choices)]}}
    return {"properties": {f"f{i}": offered for i in range(fields)}, "required": [f"f{i}" for i in range(fields)]}


def steps_for(count: int) -> int:
    answers = {"f0": [f"v{count - 1}"] * count}
    return steps_of(lambda: faults_of(answers, form_of(count)))


def test_the_steps_of_a_check_grow_with_the_choices_and_answers() -> None:
    assert 0 < steps_for(3000) <= 2.2 * steps_for(1500)


def test_the_steps_of_a_check_grow_with_the_fields() -> None:
    def steps(fields: int) -> int:
        return steps_of(lambda: faults_of({f"f{i}": ["v0"] for i in range(fields)}, form_of(1, fields)))

    assert 0 < steps(3000) <= 2.2 * steps(1500)


def test_a_check_stops_at_fifty_faults() -> None:
    unknown = {f"x{i}": 0 for i in range(100_000)}
    assert len(faults_of(unknown, form_of(1))) == MOST_FAULTS
    assert steps_of(lambda: faults_of(unknown, form_of(1))) < 1000


def test_a_form_at_its_limits_and_one_beyond() -> None:
    assert fault_of_form(form_of(MOST_CHOICES)) is None
    assert fault_of_form(form_of(MOST_CHOICES + 1)) == f"A form offers at most {MOST_CHOICES} choices."
    assert fault_of_form(form_of(1, MOST_FIELDS)) is None
    assert fault_of_form(form_of(1, MOST_FIELDS + 1)) == f"A form has at most {MOST_FIELDS} fields."
    empty = len(json.dumps({"title": ""}))
    assert fault_of_form({"title": "x" * (MOST_FORM_BYTES - empty)}) is None
    beyond = fault_of_form({"title": "x" * (MOST_FORM_BYTES - empty + 1)})
    assert beyond == f"A form has at most {MOST_FORM_BYTES} bytes as JSON."
    assert faults_of({"f0": ["v0"] * MOST_ANSWERS}, form_of(1)) == {}
    assert faults_of({"f0": ["v0"] * (MOST_ANSWERS + 1)}, form_of(1)) == {"f0": f"must be at most {MOST_ANSWERS} items"}


@pytest.mark.parametrize(
    ("value", "choice", "fits"),
    [(1, 1.0, True), (1, True, False), ([1], [True], False), ({"a": 1}, {"a": 1.0}, True), ("1", 1, False)],
)
def test_a_choice_is_equal_as_json(value: object, choice: object, fits: bool) -> None:  # noqa: FBT001
    assert (faults_of({"f": value}, {"properties": {"f": {"enum": [choice]}}}) == {}) is fits
