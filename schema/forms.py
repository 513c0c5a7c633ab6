"""Check answers against a question's form: a flat object of texts, numbers, booleans and choices.

The form is MCP's elicitation schema, as the Agent Client Protocol uses it. Agents write forms. Parts that are not
supported here (patterns, formats, nested values) are left to the agent, so that no form can cause heavy work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from schema.json_limits import MOST_FAULTS
from schema.wire import Json

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "a text"),
    "number": ((int, float), "a number"),
    "integer": ((int, float), "a whole number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list"),
}
MOST_FIELDS = 200
MOST_CHOICES = 5000
"""Choices of all fields of a form together."""
MOST_FORM_BYTES = 1024 * 1024
"""Bytes of a form as JSON, with all of its titles and descriptions."""
MOST_ANSWERS = 5000
"""Items of one field's answer."""
_SHOWN_CHOICES = 20
_SHOWN = 100
"""Characters of a choice that a fault repeats."""


def fault_of_form(form: Json) -> str | None:
    """Return why the form is too large to be asked, or None."""
    fields = _object(form, "properties")
    if len(fields) > MOST_FIELDS:
        return f"A form has at most {MOST_FIELDS} fields."
    if sum(len(choices(field)) for field in fields.values() if isinstance(field, dict)) > MOST_CHOICES:
        return f"A form offers at most {MOST_CHOICES} choices."
    if len(json.dumps(form, ensure_ascii=False).encode("utf-8", "replace")) > MOST_FORM_BYTES:
        return f"A form has at most {MOST_FORM_BYTES} bytes as JSON."
    return None


def faults_of(answers: Json, form: Json) -> dict[str, str]:
    """Return the faults of the answers by field, at most MOST_FAULTS; empty when they fit."""
    fields = _object(form, "properties")
    return dict(islice(_faults(answers, fields, form.get("required")), MOST_FAULTS)) if fields else {}


def _faults(answers: Json, fields: Json, needed: object) -> Iterator[tuple[str, str]]:
    required = {name for name in needed if isinstance(name, str)} if isinstance(needed, list) else set()
    yield from ((name, "is required") for name in fields if name in required and name not in answers)
    for name, value in answers.items():
        fault = fault_of(value, _object(fields, name)) if name in fields else "is not a field of this form"
        if fault is not None:
            yield name, fault


def fault_of(value: Any, field: Json) -> str | None:
    """Return the fault of one field's value, or None."""
    if (fault := _kind_fault(value, field)) is not None:
        return fault
    items = value if isinstance(value, list) else [value]
    if len(items) > MOST_ANSWERS:
        return f"must be at most {MOST_ANSWERS} items"
    if isinstance(value, list) and (fault := _range_fault(len(value), field, "minItems", "maxItems", "items")):
        return fault
    offered = choices(field)
    allowed = {_identity(choice) for choice, _ in offered}
    if allowed and not all(_identity(item) in allowed for item in items):
        return f"must be one of: {', '.join(str(choice)[:_SHOWN] for choice, _ in offered[:_SHOWN_CHOICES])}"
    return next((fault for item in items if (fault := _item_fault(item, field)) is not None), None)


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


def _identity(value: Any) -> str:
    """Return a text that equal JSON values share. Agents choose the values, so they must not choose their hashes."""
    return json.dumps(_canonical(value), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {key: _canonical(each) for key, each in value.items()}
    return value


def _number(field: Json, key: str) -> float | None:
    value = field.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _object(of: Json, key: str) -> Json:
    value = of.get(key)
    return value if isinstance(value, dict) else {}
