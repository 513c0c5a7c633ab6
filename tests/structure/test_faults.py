"""The table of faults names, for each fault and mistake that must be tried, a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.structure.repository import ROOT, tree_of

FAULTS = {*range(1, 21), 29, 30, 33, 37, 38}
MISTAKES = {1, 2, 3, 7, 8, 9, 12, 13, 15, 16, 19, 20, 21}
TABLE = (ROOT / "tests" / "FAULTS.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_test_that_is_named_exists() -> None:
    missing = [f"{file}::{name}" for file, name in NAMED.findall(TABLE) if name not in defined_in(Path("tests") / file)]
    assert missing == []


def test_every_fault_and_mistake_has_a_test() -> None:
    _, faults, mistakes, _ = TABLE.split("\n## ")
    assert FAULTS - rows_with_tests(faults) == set()
    assert MISTAKES - rows_with_tests(mistakes) == set()


def rows_with_tests(table: str) -> set[int]:
    rows = [line.split("|")[1:] for line in table.splitlines() if line.startswith("|")]
    return {int(row[0]) for row in rows if row[0].strip().isdigit() and NAMED.search(row[2])}


def defined_in(file: Path) -> set[str]:
    if not (ROOT / file).is_file():
        return set()
    return {node.name for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef)}
