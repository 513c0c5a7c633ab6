"""Read a person's answers to an agent: a permission by one letter, a question field by field.

Without a terminal `--yes` allows permissions. Everything else stays open: nothing is denied in a person's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cli.chat.client import Reply
from cli.chat.prompt_line import LEAVING, command_in
from cli.chat.request_lines import menu_letters, menu_words
from cli.chat.screen import Screen, visible
from schema.events import HumanRequested, PermissionOption
from schema.forms import choices, fault_of
from schema.wire import Json

Ask = Callable[[str], str]
"""Show a question and return the typed line. Raises EOFError and KeyboardInterrupt."""

NUMBER = "a number"
KEYS = {
    "y": "allow this once",
    "a": "allow it, and the same again later in this session",
    "n": "deny; words after it tell the agent why: n use the other file",
    "c": "cancel the run",
    NUMBER: "choose the agent's own option with this number, counted in the order of the menu",
    "/leave": "leave the chat, as Ctrl-D does: the question stays open and the run waits",
    "Ctrl-C": "stop the run",
}
OF_ALL_QUESTIONS = ("/leave", "Ctrl-C")


def answer_alone(request: HumanRequested, *, allow: bool) -> Reply | None:
    """Answer without a person: `--yes` allows a permission. Return None for what only a person can answer."""
    return Reply("allow") if allow and request.kind == "permission" else None


def answer_permission(request: HumanRequested, *, ask: Ask, screen: Screen) -> Reply:
    """Ask for a letter or the number of an agent's own option. The caller handles Ctrl-C and Ctrl-D."""
    options = request.options or []
    question = visible(menu_words(options)).replace("\n", " ")
    while True:
        line = ask(f"{question}: ")
        reply = read_permission(line, options)
        if reply is not None:
            return reply
        for told in _leave_or_help(line, permission_help(options)) or [_only(options)]:
            screen.note(told)


def permission_help(options: Sequence[PermissionOption]) -> list[str]:
    """Say what each key does at a permission, and how to leave the question open."""
    return [f"{key.ljust(9)} {KEYS[key]}" for key in [*menu_letters(options), NUMBER, *OF_ALL_QUESTIONS]]


def _only(options: Sequence[PermissionOption]) -> str:
    letters = ", ".join(menu_letters(options))
    return f"Type only {letters}, or the number of an option; /help says what they do. n WHY tells the agent why."


def _leave_or_help(line: str, lines: Sequence[str]) -> Sequence[str]:
    """Return the lines for `/help`, and nothing for a line that is no command of the chat's own.

    Raise EOFError for a command that leaves the chat.
    """
    command = command_in(line)
    if command in LEAVING:
        raise EOFError
    return lines if command == "help" else []


def read_permission(line: str, options: Sequence[PermissionOption]) -> Reply | None:
    """Parse a decision; `n because ...` carries a reason. Return None for an unknown line.

    Nothing may follow any other decision: "yes but not there" and "A different approach" are sentences.
    """
    word, *reason = line.split(maxsplit=1) or [""]
    if word.lower() in {"n", "no", "deny"}:
        return Reply("deny", reason=reason[0].strip() if reason else None)
    if reason:
        return None
    if word.isdecimal() and 0 < int(word) <= len(options):
        return _reply_by_option(options[int(word) - 1])
    match word.lower():
        case "y" | "yes" | "allow":
            return Reply("allow")
        case "a" | "always":
            return Reply("allow_always")
        case "c" | "cancel":
            return Reply("cancel")
        case _:
            return None


def answer_question(request: HumanRequested, *, ask: Ask, screen: Screen) -> Reply:
    """Ask for each field of the request's JSON Schema in turn."""
    schema = request.schema_ or {}
    fields: Json = schema.get("properties") or {}
    required = set(schema.get("required") or [])
    answers: Json = {}
    screen.note("Press Enter to leave a field out. Type - to decline.")
    for name, field in fields.items():
        line = _ask_field(name, field, required=name in required, ask=ask, screen=screen)
        if line is DECLINED:
            return Reply("deny")
        if line is not None:
            answers[name] = line
    return Reply("answer", answers=answers)


DECLINED = object()
FIELD_HELP = (
    "Type the answer and press Enter. Enter alone leaves the field out or takes its default; - declines all fields.",
    "Of offered values type the number or the name; of a list, several with commas between them.",
    *(f"{key.ljust(9)} {KEYS[key]}" for key in OF_ALL_QUESTIONS),
)


def _ask_field(name: str, field: Json, *, required: bool, ask: Ask, screen: Screen) -> Any:
    """Return the field's value, None when the person leaves it out, or DECLINED."""
    _show_field(name, field, screen)
    while True:
        line = ask(f"{visible(str(field.get('title') or name))}{' (required)' if required else ''}: ").strip()
        if line == "-":
            return DECLINED
        help_lines = _leave_or_help(line, FIELD_HELP)
        for told in help_lines:
            screen.note(told)
        if help_lines:
            continue
        if not line and "default" in field:
            return field["default"]
        if not line and not required:
            return None
        try:
            return read_fitting(line, field)
        except ValueError as error:
            screen.note(str(error), style="yellow")


def _show_field(name: str, field: Json, screen: Screen) -> None:
    described = field.get("description")
    if described:
        screen.note(f"{name}: {described}", style="")
    for number, (value, title) in enumerate(choices(field), start=1):
        screen.note(f"  {number}  {title}{' (default)' if value == field.get('default') else ''}", style="")


def read_fitting(line: str, field: Json) -> Any:
    """Convert a typed line to the field's type and check its limits. Raise ValueError with a sentence."""
    value = read_field(line, field)
    fault = fault_of(value, field)
    if fault is not None:
        raise ValueError(f"The value {fault}.")
    return value


def read_field(line: str, field: Json) -> Any:
    """Convert a typed line to the field's type. Raise ValueError with a sentence."""
    options_offered = choices(field)
    if field.get("type") == "array":
        return [_choose(part.strip(), options_offered) for part in line.split(",") if part.strip()]
    if options_offered:
        return _choose(line, options_offered)
    match field.get("type"):
        case "boolean":
            return _yes_or_no(line)
        case "integer":
            return _number(line, int)
        case "number":
            return _number(line, float)
        case _ if not line:
            raise ValueError("This field is required.")
        case _:
            return line


def _choose(line: str, options_offered: list[tuple[Any, str]]) -> Any:
    if not options_offered:
        return line
    if line.isdecimal() and 0 < int(line) <= len(options_offered):
        return options_offered[int(line) - 1][0]
    for value, title in options_offered:
        if line.casefold() in {str(value).casefold(), title.casefold()}:
            return value
    raise ValueError("Choose an option by its number or name: " + ", ".join(title for _, title in options_offered))


def _yes_or_no(line: str) -> bool:
    if line.lower() in {"y", "yes", "true"}:
        return True
    if line.lower() in {"n", "no", "false"}:
        return False
    raise ValueError("Type y or n.")


def _number(line: str, kind: type[int] | type[float]) -> int | float:
    try:
        return kind(line)
    except ValueError:
        raise ValueError("Type a whole number." if kind is int else "Type a number.") from None


def _reply_by_option(option: PermissionOption) -> Reply:
    if option.kind == "allow_always":
        return Reply("allow_always", option_id=option.option_id)
    return Reply("allow" if option.kind == "allow_once" else "deny", option_id=option.option_id)
