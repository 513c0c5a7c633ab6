"""The house: its folders, who may import whom, how things are named."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure.repository import PACKAGES, ROOT, python_files, text_files, tracked_files, tree_of

FOLDERS = {"functions", "handlers", "jobs", "executor", "schema", "portal", "tests"}
# The terminal program has its folder by a decision recorded in DECISIONS.md; .ci belongs to the machine that checks.
RECORDED = {"cli", ".ci"}
VAGUE_FILES = {"utils", "util", "common", "helpers", "manager", "service", "base", "misc", "core"}
VAGUE_CLASSES = ("Manager", "Service", "Repository", "Store")
MAX_LINES = 325
GAP = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError|HACK)\b")


def test_every_folder_is_one_of_the_list() -> None:
    found = {path.parts[0] for path in tracked_files() if len(path.parts) > 1}
    assert found <= FOLDERS | RECORDED


def test_a_folder_beyond_the_list_has_its_recorded_decision() -> None:
    assert "cli/" in (ROOT / "DECISIONS.md").read_text()


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
