"""How typed lines become answers: permissions by letter or number, forms by their schema."""

from __future__ import annotations

import io
from collections.abc import Sequence
from uuid import UUID

import pytest
from rich.console import Console

from cli.chat.answers import answer_alone, answer_permission, answer_question, read_field, read_permission
from cli.chat.client import Reply
from cli.chat.screen import Screen
from schema.events import HumanRequested, PermissionOption
from schema.wire import Json

OPTIONS = [
    PermissionOption(option_id="once", name="Allow", kind="allow_once"),
    PermissionOption(option_id="always", name="Always", kind="allow_always"),
    PermissionOption(option_id="no", name="Reject", kind="reject_once"),
]


class Person:
    """Types these lines, one to each question, and keeps the questions."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return self.lines.pop(0)


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=io.StringIO()))


def permission(options: Sequence[PermissionOption] = OPTIONS) -> HumanRequested:
    return HumanRequested(
        request_id=UUID(int=1), kind="permission", title="Write a.txt", fingerprint="f", options=list(options)
    )


def question(**properties: Json) -> HumanRequested:
    schema: Json = {"type": "object", "properties": properties, "required": ["name"]}
    return HumanRequested.model_validate(
        {"requestId": str(UUID(int=1)), "kind": "question", "title": "?", "fingerprint": "f", "schema": schema}
    )


def test_help_at_a_permission_says_what_the_keys_do_and_asks_again() -> None:
    person, shown = Person(["/help", "y"]), io.StringIO()
    screen = Screen(Console(file=shown, width=200))
    assert answer_permission(permission(), ask=person, screen=screen) == Reply("allow")
    assert len(person.questions) == 2
    lines = shown.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["y", "a", "n", "c", "a", "/leave", "Ctrl-C"]
    assert "Type only" not in shown.getvalue()


def test_help_at_a_field_says_how_to_answer_and_asks_again() -> None:
    person, shown = Person(["/help", "/etc/hosts"]), io.StringIO()
    asked = question(name={"type": "string"})
    answered = answer_question(asked, ask=person, screen=Screen(Console(file=shown, width=200)))
    assert answered == Reply("answer", answers={"name": "/etc/hosts"})
    assert "/leave" in shown.getvalue()
    assert "- declines all fields" in shown.getvalue()


@pytest.mark.parametrize("line", ["/leave", "/quit", " /exit "])
def test_a_question_is_left_open_by_the_chats_own_words(line: str, screen: Screen) -> None:
    with pytest.raises(EOFError):
        answer_permission(permission(), ask=Person([line]), screen=screen)
    with pytest.raises(EOFError):
        answer_question(question(name={"type": "string"}), ask=Person([line]), screen=screen)


@pytest.mark.parametrize(
    "line, reply",
    [
        ("y", Reply("allow")),
        ("a", Reply("allow_always")),
        ("n", Reply("deny")),
        ("n it is the wrong file", Reply("deny", reason="it is the wrong file")),
        ("c", Reply("cancel")),
        ("2", Reply("allow_always", option_id="always")),
        ("3", Reply("deny", option_id="no")),
        ("4", None),
        ("", None),
        ("maybe", None),
        ("no because", Reply("deny", reason="because")),
        ("yes but not there", None),
        ("yes, and also the tests", None),
        ("A different approach please", None),
        ("c is the better language", None),
        ("2 files are enough", None),
    ],
)
def test_line_becomes_a_decision(line: str, reply: Reply | None) -> None:
    assert read_permission(line, OPTIONS) == reply


def test_asks_again_until_the_line_means_something(screen: Screen) -> None:
    person = Person(["perhaps", "y"])
    assert answer_permission(permission(), ask=person, screen=screen) == Reply("allow")
    assert person.questions[0] == "[y] allow, [a] allow always, [n] deny, [c] cancel the run: "


def test_always_is_offered_only_where_the_agent_offers_it(screen: Screen) -> None:
    person = Person(["n"])
    answer_permission(permission([OPTIONS[0], OPTIONS[2]]), ask=person, screen=screen)
    assert "always" not in person.questions[0]


def test_form_is_filled_field_by_field(screen: Screen) -> None:
    asked = question(
        name={"type": "string"},
        count={"type": "integer"},
        color={"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]},
        note={"type": "string"},
    )
    person = Person(["", "Ada", "many", "3", "green", ""])
    assert answer_question(asked, ask=person, screen=screen) == Reply(
        "answer", answers={"name": "Ada", "count": 3, "color": "g"}
    )


def test_question_can_be_declined_in_the_middle(screen: Screen) -> None:
    asked = question(name={"type": "string"}, other={"type": "string"})
    assert answer_question(asked, ask=Person(["Ada", "-"]), screen=screen) == Reply("deny")


@pytest.mark.parametrize(
    "line, field, value",
    [
        ("1.5", {"type": "number"}, 1.5),
        ("yes", {"type": "boolean"}, True),
        ("no", {"type": "boolean"}, False),
        ("2", {"type": "string", "enum": ["a", "b"]}, "b"),
        ("B", {"type": "string", "enum": ["a", "b"]}, "b"),
        ("1, c", {"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}, ["a", "c"]),
    ],
)
def test_field_is_read_by_its_type(line: str, field: Json, value: object) -> None:
    assert read_field(line, field) == value


@pytest.mark.parametrize(
    "line, field",
    [("x", {"type": "integer"}), ("perhaps", {"type": "boolean"}), ("z", {"type": "string", "enum": ["a"]})],
)
def test_line_that_does_not_fit_is_said(line: str, field: Json) -> None:
    with pytest.raises(ValueError, match=r"Type|Choose"):
        read_field(line, field)


def test_an_option_that_no_letter_reaches_has_a_number_in_the_one_menu(screen: Screen) -> None:
    options = [
        *OPTIONS,
        PermissionOption(option_id="folder", name="Yes, and don't ask again for src", kind="allow_always"),
    ]
    person = Person(["4"])
    assert answer_permission(permission(options), ask=person, screen=screen) == Reply("allow_always", "folder")
    assert person.questions == [
        "[y] allow, [a] allow always, [n] deny, [4] Yes, and don't ask again for src, [c] cancel the run: "
    ]


def test_an_agents_own_words_stand_in_the_menu_where_they_say_more(screen: Screen) -> None:
    always = PermissionOption(option_id="x", name="Always allow git *", kind="allow_always")
    person = Person(["a"])
    answer_permission(permission([OPTIONS[0], always]), ask=person, screen=screen)
    assert "[a] allow always (Always allow git *)" in person.questions[0]


def test_without_a_person_only_a_permission_is_answered_and_nothing_denied() -> None:
    assert answer_alone(permission(), allow=True) == Reply("allow")
    assert answer_alone(permission(), allow=False) is None
    assert answer_alone(question(), allow=True) is None
