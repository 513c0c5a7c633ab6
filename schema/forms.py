"""Check answers against a question's form: a flat object of texts, numbers, booleans and choices.

The form is MCP's elicitation schema, as the Agent Client Protocol uses it. Agents write forms. Parts that are not
supported here (patterns, formats, nested values) are left to the agent, so that no form can cause heavy work.
"""

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
    """Return the faults of the answers by field; empty when they fit."""
    fields = _object(form, "properties")
    if not fields:
        return {}
    needed = form.get("required")
    missing = [name for name in fields if isinstance(needed, list) and name in needed and name not in answers]
    faults = dict.fromkeys(missing, "is required")
    for name, value in answers.items():
        fault = fault_of(value, _object(fields, name)) if name in fields else "is not a field of this form"
        if fault is not None:
            faults[name] = fault
    return faults


def fault_of(value: Any, field: Json) -> str | None:
    """Return the fault of one field's value, or None."""
    if (fault := _kind_fault(value, field)) is not None:
        return fault
    if isinstance(value, list):
        size_fault = _range_fault(len(value), field, "minItems", "maxItems", "items")
        return size_fault or next((fault for item in value if (fault := _item_fault(item, field)) is not None), None)
    return _item_fault(value, field)


def choices(field: Json) -> list[tuple[Any, str]]:
    """Return the (value, title) pairs to choose from; of a list, those of each item. Empty when any value is
    allowed."""
    source = _object(field, "items") if field.get("type") == "array" else field
    if isinstance(source.get("enum"), list) and source["enum"]:
        named = source.get("enumNames")
        titles = named if isinstance(named, list) and len(named) == len(source["enum"]) else source["enum"]
        return [(value, str(title)) for value, title in zip(source["enum"], titles, strict=True)]
    offered: list[Any] = next((source[key] for key in ("oneOf", "anyOf") if isinstance(source.get(key), list)), [])
    constants = [option for option in offered if isinstance(option, dict) and "const" in option]
    return [(option["const"], str(option.get("title") or option["const"])) for option in constants]


def _item_fault(value: Any, field: Json) -> str | None:
    offered = choices(field)
    if offered and not any(_is(value, choice) for choice, _ in offered):
        return f"must be one of: {', '.join(str(choice) for choice, _ in offered[:_SHOWN_CHOICES])}"
    if field.get("type") == "array":
        return _kind_fault(value, _object(field, "items"))
    if isinstance(value, str):
        return _range_fault(len(value), field, "minLength", "maxLength", "characters")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _range_fault(value, field, "minimum", "maximum", "")
    return None


def _kind_fault(value: Any, field: Json) -> str | None:
    kind = field.get("type")
    types, name = _KINDS.get(kind, ((), "")) if isinstance(kind, str) else ((), "")
    fits = isinstance(value, types) and isinstance(value, bool) == (kind == "boolean")
    if kind == "integer":
        fits = fits and (isinstance(value, int) or value.is_integer())
    return None if fits or not types else f"must be {name}"


def _range_fault(size: float, field: Json, least: str, most: str, unit: str) -> str | None:
    low, high = _number(field, least), _number(field, most)
    if low is not None and size < low:
        return f"must be at least {low} {unit}".strip()
    if high is not None and size > high:
        return f"must be at most {high} {unit}".strip()
    return None


def _is(value: Any, offered: Any) -> bool:
    return bool(value == offered) and isinstance(value, bool) == isinstance(offered, bool)


def _number(field: Json, key: str) -> float | None:
    value = field.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _object(of: Json, key: str) -> Json:
    value = of.get(key)
    return value if isinstance(value, dict) else {}
