"""Ids in paths: a malformed id is a problem of its own, not a route that does not exist."""

from __future__ import annotations

import re
from uuid import UUID

from flask import current_app, g, has_app_context, request
from werkzeug.routing import UUIDConverter, ValidationError

_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class PathIdConverter(UUIDConverter):
    """Takes any path segment, so that a malformed id reaches the converter. The router then answers 405 where another
    rule has the path, and else 404, which `has_malformed_id` explains."""

    regex = r"[^/]+"

    def to_python(self, value: str) -> UUID:
        if not _ID.fullmatch(value):
            if has_app_context():
                g.has_malformed_id = True
            raise ValidationError
        return UUID(value)


def methods_of_fixed_path() -> set[str] | None:
    """Return the methods of rules with exactly the path of this request; None where only ids may stand in it.

    The router would add those of rules that take an id in the place of its last name.
    """
    rules = [rule for rule in current_app.url_map.iter_rules() if rule.rule == request.path]
    return {method for rule in rules for method in rule.methods or ()} if rules else None


def has_malformed_id() -> bool:
    """Whether the path of this request would be a route's, if its ids were UUIDs."""
    return bool(g.get("has_malformed_id"))
