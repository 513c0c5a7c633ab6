"""The forms of questions: a flat object of texts, numbers, yes or no, and choices, as the Agent Client Protocol has
them of MCP's elicitation. Written by agents: what is not understood here (patterns, formats, what is nested) is left
for the agent to check, so that no form can keep anybody busy."""

from __future__ import annotations

from typing import Any

from schema.wire import Json

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a text"),
    "number": ((int, float), "a number"),
    "integer": ((int, float), "a whole number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list"),
}
_SHOWN_CHOICES = 20


def faults_of(answers: Json, form: Json) -> dict[str, str]:
    """What is wrong with the answers, by field; nothing when they fit."""
    fields = _object(form, "properties")
    if not fields:
        return {}
    needed = form.get("required")
    missing = [name for name in fields if isinstance(needed, list) and name in needed and name not in answers]
    faults = dict.fromkeys(missing, "is needed")
    for name, value in answers.items():
        fault = fault_of(value, _object(fields, name)) if name in fields else "is no field of this form"
        if fault is not None:
            faults[name] = fault
    return faults


def fault_of(value: Any, field: Json) -> str | None:
    """What is wrong with one field's value."""
    if (wrong := _of_another_kind(value, field)) is not None:
        return wrong
    if isinstance(value, list):
        wrong = _out_of(len(value), field, "minItems", "maxItems", "items")
        return wrong or next((fault for each in value if (fault := _item_fault(each, field)) is not None), None)
    return _item_fault(value, field)


def choices(field: Json) -> list[tuple[Any, str]]:
    """(value, title) of what may be chosen, of a list for each item; empty when anything may be given."""
    source = _object(field, "items") if field.get("type") == "array" else field
    if isinstance(source.get("enum"), list) and source["enum"]:
        named = source.get("enumNames")
        titles = named if isinstance(named, list) and len(named) == len(source["enum"]) else source["enum"]
        return [(value, str(title)) for value, title in zip(source["enum"], titles, strict=True)]
    offered: list[Any] = next((source[key] for key in ("oneOf", "anyOf") if isinstance(source.get(key), list)), [])
    constant = [one for one in offered if isinstance(one, dict) and "const" in one]
    return [(one["const"], str(one.get("title") or one["const"])) for one in constant]


def _item_fault(value: Any, field: Json) -> str | None:
    offered = choices(field)
    if offered and not any(_is(value, each) for each, _ in offered):
        return f"must be one of: {', '.join(str(each) for each, _ in offered[:_SHOWN_CHOICES])}"
    if field.get("type") == "array":
        return _of_another_kind(value, _object(field, "items"))
    if isinstance(value, str):
        return _out_of(len(value), field, "minLength", "maxLength", "characters")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _out_of(value, field, "minimum", "maximum", "")
    return None


def _of_another_kind(value: Any, field: Json) -> str | None:
    kind = field.get("type")
    types, name = _KINDS.get(kind, ((), "")) if isinstance(kind, str) else ((), "")
    fits = isinstance(value, types) and isinstance(value, bool) == (kind == "boolean")
    if kind == "integer":
        fits = fits and (isinstance(value, int) or value.is_integer())
    return None if fits or not types else f"must be {name}"


def _out_of(size: float, field: Json, least: str, most: str, unit: str) -> str | None:
    low, high = _number(field, least), _number(field, most)
    if low is not None and size < low:
        return f"must be at least {low} {unit}".strip()
    if high is not None and size > high:
        return f"must be at most {high} {unit}".strip()
    return None


def _is(value: Any, offered: Any) -> bool:
    return bool(value == offered) and isinstance(value, bool) == isinstance(offered, bool)


def _number(field: Json, key: str) -> float | None:
    found = field.get(key)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def _object(of: Json, key: str) -> Json:
    found = of.get(key)
    return found if isinstance(found, dict) else {}
