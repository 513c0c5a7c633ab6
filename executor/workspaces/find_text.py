"""Find a text in the files of the live workspace, bounded in bytes, time and results.

It blocks and opens files with the rights of the calling thread: call it as the agent's account.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

from executor.workspaces.live_files import opened_file, walked
from schema.errors import Invalid, NotFound
from schema.live_files import LiveItem, LiveItems, LiveSearchQuery
from schema.text_search import MOST_FILE_BYTES, TextMatch, text_matches

SEARCH_SECONDS = 3.0
MOST_BYTES = 64 << 20
"""Bytes that one search reads."""


def find_text(
    workspace: Path, query: LiveSearchQuery, *, seconds: float = SEARCH_SECONDS, most_bytes: int = MOST_BYTES
) -> LiveItems:
    """Return files whose text contains the wanted one in any case, with their first matching lines."""
    until, left, has_skipped = time.monotonic() + seconds, most_bytes, False
    items: list[LiveItem] = []
    with closing(walked(workspace)) as found:
        for item in found:
            if len(items) == query.limit or left <= 0 or time.monotonic() > until:
                return LiveItems(items=items, is_partial=True)
            if item is None or not item.size:
                continue
            if item.size > MOST_FILE_BYTES:
                has_skipped = True
                continue
            matches, read = _matches(workspace, item.path, query.text)
            left -= read
            if matches:
                items.append(item.model_copy(update={"matches": matches}))
    return LiveItems(items=items, is_partial=has_skipped)


def _matches(workspace: Path, path: str, text: str) -> tuple[list[TextMatch], int]:
    """Return the matching lines and how many bytes were read; none for a file that is gone or cannot be opened."""
    try:
        with opened_file(workspace, path) as descriptor:
            content = os.pread(descriptor, MOST_FILE_BYTES, 0)
    except (NotFound, Invalid):
        return [], 0
    return text_matches(content, text), len(content)
