"""The house: its folders, who may import whom, how things are named."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.repository import PACKAGES, ROOT, python_files, text_files, tracked_files, tree_of

FOLDERS = {"functions", "handlers", "jobs", "executor", "schema", "portal", "tests"}
# The terminal program and the documents have their folders by decisions recorded in DECISIONS.md; .ci belongs to the
# machine that checks.
RECORDED = {"cli", "docs", ".ci"}
VAGUE_FILES = {"utils", "util", "common", "helpers", "manager", "service", "base", "misc", "core"}
VAGUE_CLASSES = ("Manager", "Service", "Repository", "Store")
MAX_LINES = 325
MAX_FILES = 20
MAY_HOLD_MORE = {
    "schema": "contracts, rows and errors lean on each other: by noun they would make circles",
    "executor/agents": "one adapter, whose files only make sense together",
}
GAP = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError|HACK)\b")


def test_every_folder_is_one_of_the_list() -> None:
    found = {path.parts[0] for path in tracked_files() if len(path.parts) > 1}
    assert found <= FOLDERS | RECORDED


def test_a_folder_beyond_the_list_has_its_recorded_decision() -> None:
    decisions = (ROOT / "DECISIONS.md").read_text()
    assert [name for name in ("cli/", "docs/") if name not in decisions] == []


def test_imports_go_in_one_direction() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_named_by_the_domain() -> None:
    assert [str(path) for path in tracked_files() if path.stem.lower() in VAGUE_FILES] == []


def test_classes_are_named_by_what_they_are() -> None:
    vague = [
        f"{path}: {node.name}"
        for path in python_files(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE_CLASSES)
    ]
    assert vague == []


def test_no_public_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = {}
    for path in python_files(*PACKAGES):
        for name in public_types(tree_of(path)):
            places.setdefault(name, []).append(str(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def public_types(tree: ast.Module) -> Iterator[str]:
    """Classes, and aliases that are named like classes."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            names = []
        yield from (name for name in names if name[0].isupper() and not name.isupper() and len(name) > 1)


def test_no_folder_is_a_heap() -> None:
    folders: dict[Path, int] = {}
    for path in python_files(*PACKAGES, "tests"):
        folders[path.parent] = folders.get(path.parent, 0) + 1
    full = {str(folder): count for folder, count in folders.items() if count > MAX_FILES}
    assert {folder: count for folder, count in full.items() if folder not in MAY_HOLD_MORE} == {}


def test_files_hold_one_screenful_of_ideas() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in python_files()}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path) for path in python_files() if tree_of(path).body and ast.get_docstring(tree_of(path)) is None]
    assert silent == []


def test_no_file_admits_a_gap() -> None:
    this = Path(__file__).relative_to(ROOT)
    gaps = [
        f"{path}:{number}: {line.strip()}"
        for path in python_files()
        if path != this
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if GAP.search(line)
    ]
    assert gaps == []


@pytest.mark.parametrize("path", ["/wor" + "k/", "/ro" + "ot/", "/ho" + "me/"])
def test_no_file_names_a_place_on_a_builders_machine(path: str) -> None:
    pattern = re.compile(rf"(?<![\w.}}/]){re.escape(path)}")
    assert [str(file) for file, text in text_files() if pattern.search(text)] == []
