"""Paths of requests are those of the manifest or nothing; listings and names, by chance."""

from __future__ import annotations

import posixpath
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.files.downloads import attachment
from handlers.files.compare import MOST_LINES, patch_of
from handlers.files.preview import preview_of, safe_name
from handlers.files.tree import SnapshotTree, read_path, split_path
from schema.errors import RunyardError
from schema.snapshot_manifest import (
    VERSION,
    Entry,
    File,
    Folder,
    Manifest,
    Roots,
    is_safe_path,
    path_bytes,
    path_text,
)

names = st.binary(min_size=1, max_size=12).filter(lambda name: is_safe_path(name) and b"/" not in name)
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)


def tree_of(entries: list[Entry]) -> SnapshotTree:
    manifest = Manifest(
        version=VERSION,
        session_id=uuid4(),
        snapshot_id=uuid4(),
        parent=None,
        at_rest=True,
        created_at=datetime.now(UTC),
        files=0,
        bytes=0,
        objects=[],
        roots=Roots(entries, []),
    )
    return SnapshotTree(manifest, "workspace")


def file(path: bytes) -> File:
    return File(path_text(path), 0o644, 0, 0, "0" * 64, 0, 0)


@given(st.text() | st.text("./\\abc\x00:=") | st.text().map("base64:".__add__))
def test_a_path_of_a_request_stays_below_its_root(text: str) -> None:
    try:
        path = path_bytes(read_path(text))
    except RunyardError:
        return
    assert path == b"" or is_safe_path(path)
    below = posixpath.normpath(b"/top/" + path)
    assert below == b"/top/" + path if path else below == b"/top"


@given(paths)
def test_each_path_is_found_by_the_text_that_names_it(path: bytes) -> None:
    folders = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
    tree = tree_of([*(Folder(path_text(folder), 0o755, 0) for folder in folders), file(path)])
    text = path_text(path)
    if text == text.strip("/"):
        assert tree.content(read_path(text)).path == text
    folder, name = split_path(text)
    assert [item.path for item in tree.page(folder, after=None, limit=10)] == [text]
    assert name == path_text(path.rpartition(b"/")[2])


@given(st.sets(names, max_size=20), st.sets(names, max_size=5), st.integers(1, 7))
def test_pages_show_every_item_once_and_in_order(files: set[bytes], folders: set[bytes], limit: int) -> None:
    tree = tree_of(
        [
            *(Folder(path_text(name), 0o755, 0) for name in folders),
            *(file(name) for name in files - folders),
        ]
    )
    whole = tree.page("", after=None, limit=100)
    assert [(item.kind != "folder", item.name) for item in whole] == sorted(
        (item.kind != "folder", item.name) for item in whole
    )
    seen, after = [], None
    while page := tree.page("", after=after, limit=limit):
        seen += page
        after = (page[-1].kind != "folder", page[-1].name)
    assert seen == whole
    assert len(whole) == len(files | folders)


@given(paths)
def test_a_name_in_a_header_is_one_harmless_line(path: bytes) -> None:
    header = attachment(safe_name(path_text(path)))
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert header.startswith('attachment; filename="')


@given(paths, st.binary(max_size=200), st.booleans())
def test_any_bytes_have_a_preview(path: bytes, head: bytes, is_cut: bool) -> None:  # noqa: FBT001  by chance
    shown = preview_of(path_text(path), head, is_cut=is_cut)
    assert (shown.text is None) == (shown.kind in ("image", "pdf", "binary"))


@pytest.mark.parametrize(
    ("old", "new", "added", "removed"), [("a", "a\n", 1, 1), ("", "a\nb", 2, 0), ("--x\n", "", 0, 1)]
)
def test_a_patch_counts_its_lines(old: str, new: str, added: int, removed: int) -> None:
    patch = patch_of(old, new, path="f\n")
    assert patch is not None
    assert (patch.added, patch.removed) == (added, removed)
    assert patch.text.startswith("--- a/f?\n+++ b/f?\n")


def test_texts_of_too_many_lines_are_not_compared() -> None:
    assert patch_of("\n" * MOST_LINES, "\n" * MOST_LINES + "x\n", path="f") is None
