"""Search the files that the reader may read, live or in a snapshot: by name, or in their text within bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from functions.files.access import admitted_rules
from functions.files.contents import LastPack
from functions.files.live import LiveRead, file_item, read_live
from functions.files.object_reader import ObjectReader
from functions.files.reading import file_reading, open_tree
from functions.files.schemas import FoundFileAnswer, SearchQuery, SnapshotPart
from handlers.files.search import search_names
from handlers.files.tree import SnapshotTree
from schema.job_requests import ReadLiveFiles
from schema.live_files import LiveSearchQuery
from schema.snapshot_manifest import Entry, File, HardLink, LargeFile
from schema.text_search import MOST_FILE_BYTES, text_matches

TEXT_SECONDS = 5.0
TEXT_BYTES = 64 << 20
"""Decompressed bytes of packs that one search fetches; the last pack may exceed them."""


@dataclass(frozen=True)
class Found:
    """The finds of a search and the state that it read; `bytes` of the files whose text was read."""

    part: SnapshotPart
    items: list[FoundFileAnswer]
    is_partial: bool
    bytes: int | None = None


def found_by_name(query: SearchQuery) -> Found:
    """Return files and folders by name. Raises NotFound and FileDenied."""
    live = _searched_live(query)
    if live.read is not None and live.read.items is not None:
        return _live_found(live)
    opened = open_tree(query, "", not_live=live.not_live)
    found = search_names(opened.tree, query.q, limit=query.limit, allows=admitted_rules().allows)
    return Found(opened.part, [FoundFileAnswer(**vars(item)) for item in found.items], found.is_partial)


def found_in_text(query: SearchQuery) -> Found:
    """Return files by their text, with the matching lines. Raises NotFound and FileDenied."""
    live = _searched_live(query)
    if live.read is not None and live.read.items is not None:
        return _live_found(live)
    opened = open_tree(query, "", not_live=live.not_live)
    slot = file_reading().archives.take()
    try:
        search = _TextSearch(file_reading().objects, opened.tree, query)
        items = list(search.found())
    finally:
        slot.release()
    return Found(opened.part, items, search.is_partial, bytes=search.bytes_read)


class _TextSearch:
    """A search in the packed files of a tree, pack by pack."""

    def __init__(self, objects: ObjectReader, tree: SnapshotTree, query: SearchQuery) -> None:
        self.is_partial = False
        self.bytes_read = 0
        self._tree = tree
        self._query = query
        self._pack = LastPack(objects, tree.manifest)
        self._packs: set[int] = set()
        self._bytes_left = TEXT_BYTES
        self._until = time.monotonic() + TEXT_SECONDS

    def found(self) -> Iterator[FoundFileAnswer]:
        """Yield the files with their matching lines; set `is_partial` when a bound ends the search."""
        count = 0
        for entry, file in self._searchable():
            if count == self._query.limit or not self._has_turn(file):
                self.is_partial = True
                return
            matches = text_matches(self._pack.slice(file), self._query.q)
            self.bytes_read += file.size
            if matches:
                count += 1
                yield FoundFileAnswer(**vars(self._tree.item(entry)), matches=matches)

    def _searchable(self) -> list[tuple[Entry, File]]:
        """Return the allowed files that are not empty, in the order of their packs. Long ones are left out."""
        rules, searchable = admitted_rules(), []
        for entry in self._tree.manifest.entries(self._tree.root):
            if time.monotonic() > self._until:
                self.is_partial = True
                break
            file = self._tree.linked(entry) if isinstance(entry, HardLink) else entry
            if not isinstance(file, File | LargeFile) or not file.size or not rules.allows(entry.path):
                continue
            if isinstance(file, LargeFile) or file.size > MOST_FILE_BYTES:
                self.is_partial = True
            else:
                searchable.append((entry, file))
        return sorted(searchable, key=lambda pair: (pair[1].pack, pair[1].offset))

    def _has_turn(self, file: File) -> bool:
        """Return whether the bounds let the search go on with this file, and count the pack that it needs."""
        if time.monotonic() > self._until:
            return False
        if file.pack not in self._packs:
            if self._bytes_left <= 0:
                return False
            self._packs.add(file.pack)
            self._bytes_left -= self._tree.manifest.objects[file.pack].raw
        return True


def _searched_live(query: SearchQuery) -> LiveRead:
    search = LiveSearchQuery(text=query.q, limit=query.limit, in_text=query.in_ == "text")
    return read_live(query, ReadLiveFiles(session_id=query.session_id, search=search), "")


def _live_found(live: LiveRead) -> Found:
    assert live.read is not None
    assert live.read.items is not None
    allowed = [item for item in live.read.items.items if admitted_rules().allows(item.path)]
    items = [FoundFileAnswer(**vars(file_item(item)), matches=item.matches) for item in allowed]
    return Found(live.part, items, live.read.items.is_partial)
