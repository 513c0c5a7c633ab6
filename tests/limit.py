"""A fixed limit of docs/limits.md, and what a body's model declares as one."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True)
class Limit:
    """A fixed limit. `test` tries it at the limit and one beyond, as `path::function`."""

    what: str
    most: int
    beyond: str
    test: str


def most_characters(model: type[BaseModel], field: str) -> int:
    """The longest text that the field takes."""
    schema = model.model_json_schema(by_alias=False)["properties"][field]
    return next(int(kind["maxLength"]) for kind in (schema, *schema.get("anyOf", ())) if "maxLength" in kind)


def most_entries(model: type[BaseModel], field: str) -> int:
    """The longest list that the field takes."""
    schema = model.model_json_schema(by_alias=False)["properties"][field]
    return next(int(kind["maxItems"]) for kind in (schema, *schema.get("anyOf", ())) if "maxItems" in kind)
