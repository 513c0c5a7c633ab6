"""Ids in paths: a malformed id is a problem of its own, not a route that does not exist."""

from __future__ import annotations

import re
from uuid import UUID

from werkzeug.exceptions import UnprocessableEntity
from werkzeug.routing import UUIDConverter

_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class MalformedPathId(UnprocessableEntity):
    """The router raises it where a route takes a UUID and the path has something else."""


class PathIdConverter(UUIDConverter):
    """Takes any path segment for an id, so that a malformed one reaches the converter instead of a 404."""

    regex = r"[^/]+"

    def to_python(self, value: str) -> UUID:
        if not _ID.fullmatch(value):
            raise MalformedPathId
        return UUID(value)
