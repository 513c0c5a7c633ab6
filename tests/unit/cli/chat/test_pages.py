"""Lists are read to their last page, whatever number of items a page has."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cli.chat.client import Api
from cli.chat.pages import pages
from cli.sessions.run_page import run_events
from schema.wire import Json

ITEMS = [{"seq": seq} for seq in range(1, 8)]


class ShortPages(Api):
    """An API whose pages end early: each has so many items, however many were asked for."""

    def __init__(self, size: int, cursor_name: str) -> None:
        super().__init__("http://127.0.0.1:1", "token")
        self.size = size
        self.cursor_name = cursor_name
        self.asked: list[str] = []

    def send(self, method: str, path: str, **_more: Any) -> Json:
        assert method == "GET"
        self.asked.append(path)
        after = int(parse_qs(urlsplit(path).query).get(self.cursor_name, ["0"])[0])
        items = [item for item in ITEMS if item["seq"] > after][: self.size]
        is_last = not items or items[-1] == ITEMS[-1]
        return {"items": items} if is_last else {"items": items, "nextCursor": items[-1]["seq"]}


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_list_is_read_to_its_last_page(size: int) -> None:
    api = ShortPages(size, "cursor")
    assert list(pages(api, "/api/human-loop/pending", {"sessionId": None})) == ITEMS
    assert len(api.asked) == -(-len(ITEMS) // size)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_all_events_of_a_run_are_read_though_pages_end_early(size: int) -> None:
    api = ShortPages(size, "after")
    assert list(run_events(api, "run")) == ITEMS
    assert api.asked[0] == "/api/runs/run/events?limit=500"
