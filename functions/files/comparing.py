"""Answer what changed between two runs of a session: by digests, and line by line where both sides are short texts."""

from __future__ import annotations

import time
from bisect import bisect_right
from typing import TypedDict

from functions.files.access import admitted_rules
from functions.files.auditing import note_access
from functions.files.contents import file_bytes
from functions.files.reading import OpenTree, file_reading
from functions.files.schemas import ChangedFileAnswer, DiffAnswer
from handlers.files.compare import ChangedFile, Patch, changed_files, patch_of
from handlers.files.preview import PREVIEW_BYTES, Preview, preview_of
from handlers.files.tree import Content
from schema.errors import NotFound
from schema.run_ends import NO_END_SAVED

COUNT_SECONDS = 2.0
"""After so long, further files of a page are told without their counted lines."""


class Exactness(TypedDict):
    """Whether both sides are of the runs' own ends; None where neither is a run."""

    exact: bool | None
    exact_note: str | None


def changes_page(old: OpenTree, new: OpenTree, *, after: str | None, limit: int) -> DiffAnswer:
    """A page of changed files in the order of their paths, after one of them."""
    changed = [change for change in changed_files(old.tree, new.tree) if admitted_rules().allows(change.path)]
    start = 0 if after is None else bisect_right(changed, after, key=lambda change: change.path)
    page = changed[start : start + limit]
    until = time.monotonic() + COUNT_SECONDS
    files = [_counted(old, new, change) if time.monotonic() < until else _plain(change) for change in page]
    note_access(files=len(files))
    return DiffAnswer(
        from_snapshot=old.snapshot.id,
        to_snapshot=new.snapshot.id,
        **_exactness(old, new),
        files=files,
        next_cursor=page[-1].path if start + limit < len(changed) else None,
    )


def one_change(old: OpenTree, new: OpenTree, path: str) -> DiffAnswer:
    """Both sides of one file, each cut at 256 KiB, and their patch where neither is cut. Raises NotFound."""
    change = next((change for change in changed_files(old.tree, new.tree) if change.path == path), None)
    if change is None:
        raise NotFound("This path did not change.", code="unknown_path")
    before, after = _shown(old, change.old, path), _shown(new, change.new, path)
    patch = _patch(change, before, after)
    note_access(files=1, bytes=sum(min(side.size, PREVIEW_BYTES) for side in (change.old, change.new) if side))
    return DiffAnswer(
        from_snapshot=old.snapshot.id,
        to_snapshot=new.snapshot.id,
        **_exactness(old, new),
        files=[_answer(change, before, after, patch)],
        old=before.text if before else None,
        new=after.text if after else None,
        patch=patch.text if patch else None,
        cut=any(side.size > PREVIEW_BYTES for side in (change.old, change.new) if side),
    )


def _exactness(old: OpenTree, new: OpenTree) -> Exactness:
    sides = [side.is_exact for side in (old, new) if side.is_exact is not None]
    inexact = [name for name, side in (("from", old), ("to", new)) if side.is_exact is False]
    note = f"Of {' and '.join(inexact)}: {NO_END_SAVED}" if inexact else None
    return {"exact": all(sides) if sides else None, "exact_note": note}


def _counted(old: OpenTree, new: OpenTree, change: ChangedFile) -> ChangedFileAnswer:
    if any(side.size > PREVIEW_BYTES for side in (change.old, change.new) if side):
        return _plain(change)
    before, after = _shown(old, change.old, change.path), _shown(new, change.new, change.path)
    return _answer(change, before, after, _patch(change, before, after))


def _plain(change: ChangedFile) -> ChangedFileAnswer:
    return ChangedFileAnswer(path=change.path, change=change.change)


def _answer(
    change: ChangedFile, before: Preview | None, after: Preview | None, patch: Patch | None
) -> ChangedFileAnswer:
    return ChangedFileAnswer(
        path=change.path,
        change=change.change,
        added=patch.added if patch else None,
        removed=patch.removed if patch else None,
        binary=any(side is not None and side.text is None for side in (before, after)),
    )


def _shown(opened: OpenTree, file: Content | None, path: str) -> Preview | None:
    if file is None:
        return None
    head = b"".join(file_bytes(file_reading().objects, opened.tree.manifest, file, end=PREVIEW_BYTES))
    return preview_of(path, head, is_cut=file.size > PREVIEW_BYTES)


def _patch(change: ChangedFile, before: Preview | None, after: Preview | None) -> Patch | None:
    texts = [side.text if side else "" for side in (before, after)]
    if None in texts or any(side.size > PREVIEW_BYTES for side in (change.old, change.new) if side):
        return None
    return patch_of(texts[0] or "", texts[1] or "", path=change.path)
