"""Read a list of the API page after page. A page may have fewer items than its limit: only its cursor says more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from schema.wire import Json

if TYPE_CHECKING:
    from cli.chat.client import Api

PAGE = 100


def pages(
    api: Api, path: str, query: Json | None = None, *, limit: int = PAGE, cursor_name: str = "cursor"
) -> Iterator[Json]:
    """Yield the items of a list, page after page. Values of None are left out of the query."""
    named = {name: value for name, value in (query or {}).items() if value is not None}
    cursor = None
    while True:
        asked = {**named, "limit": limit, **({} if cursor is None else {cursor_name: cursor})}
        page = api.send("GET", f"{path}?{urlencode(asked)}")
        yield from page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return
