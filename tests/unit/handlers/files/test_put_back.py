"""What putting a path back changes: all that differs below it, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.files.put_back import PathTaken, plan_put_back
from schema.errors import NotFound
from schema.snapshot_manifest import Entry, File, Folder, HardLink, Symlink, path_text
from tests.unit.handlers.files.test_files_by_chance import tree_of

Tree = dict[str, str]
"""Paths to contents; folders are made as they are needed."""
names = st.sampled_from(["a", "b", "c"])
trees = st.dictionaries(st.lists(names, min_size=1, max_size=3).map("/".join), st.sampled_from("xyz"), max_size=8)


def entries_of(tree: Tree) -> list[Entry]:
    folders = {path.rsplit("/", count)[0] for path in tree for count in range(1, path.count("/") + 1)}
    kept = {path: content for path, content in tree.items() if path not in folders}
    files = [File(path, 0o644, 0, 1, content * 64, 0, 0) for path, content in kept.items()]
    return [*(Folder(path, 0o755, 0) for path in sorted(folders)), *files]


def below(tree: Tree, path: str) -> Tree:
    known = {entry.path: entry.digest for entry in entries_of(tree) if isinstance(entry, File)}
    return {name: digest for name, digest in known.items() if name == path or name.startswith(f"{path}/")}


@given(trees, trees, names)
def test_the_path_becomes_as_it_was(now: Tree, old: Tree, path: str) -> None:
    try:
        change = plan_put_back(tree_of(entries_of(now)), tree_of(entries_of(old)), path, when_missing="remove")
    except (NotFound, PathTaken):
        return
    before, wanted = below(now, path), below(old, path)
    after = {name: digest for name, digest in before.items() if name not in {*change.deleted, *change.restored}}
    after |= {name: wanted[name] for name in change.restored if name in wanted}
    assert after == wanted
    touched = {*change.restored, *change.deleted, *change.emptied}
    assert all(name == path or name.startswith(f"{path}/") for name in touched)
    assert not {name for name in change.restored if before.get(name) == wanted.get(name, "")}
    depths = [name.count("/") for name in change.emptied]
    assert depths == sorted(depths, reverse=True)


def test_a_changed_mode_target_or_hard_link_counts() -> None:
    one: list[Entry] = [File("f", 0o644, 0, 1, "x" * 64, 0, 0), HardLink("h", "f"), Symlink("l", 0, "f")]
    two: list[Entry] = [File("f", 0o755, 9, 1, "x" * 64, 0, 0), HardLink("h", "f"), Symlink("l", 5, "elsewhere")]
    restored = [
        plan_put_back(tree_of(two), tree_of(one), path, when_missing="refuse").restored for path in ("f", "h", "l")
    ]
    assert restored == [["f"], ["h"], ["l"]]
    same = plan_put_back(tree_of(one), tree_of(one), "f", when_missing="refuse")
    assert (same.restored, same.deleted, same.emptied) == ([], [], [])


def test_a_path_that_both_lack_is_refused_and_one_that_the_old_lacks_too() -> None:
    now, old = tree_of(entries_of({"a": "x"})), tree_of(entries_of({"b": "x"}))
    with pytest.raises(NotFound):
        plan_put_back(now, old, "a", when_missing="refuse")
    with pytest.raises(NotFound):
        plan_put_back(now, old, "c", when_missing="remove")
    assert plan_put_back(now, old, "a", when_missing="remove").deleted == ["a"]


def test_a_folder_in_the_place_of_an_older_file_is_refused() -> None:
    now, old = tree_of(entries_of({"a/b": "x"})), tree_of(entries_of({"a": "x"}))
    with pytest.raises(PathTaken):
        plan_put_back(now, old, "a", when_missing="refuse")


def test_names_that_are_no_text_are_put_back_too() -> None:
    odd = path_text(b"dir/\xff\xfe")
    old = tree_of([Folder("dir", 0o755, 0), File(odd, 0o644, 0, 1, "x" * 64, 0, 0)])
    change = plan_put_back(tree_of([]), old, "dir", when_missing="refuse")
    assert change.restored == ["dir", odd]
