"""Documents name what exists: paths, tests, links and make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.structure.repository import ROOT, tracked_files
from tests.structure.test_faults import defined_in

DECISIONS = (ROOT / "DECISIONS.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in tracked_files() if path.suffix == ".md")
PATH = re.compile(r"`([\w.][\w./-]*?)(?:::(\w+))?`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]*)?\)")


def entries() -> dict[int, str]:
    """The text of each decision by its number."""
    _, *parts = re.split(r"^## (\d+)\. ", DECISIONS, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("number", sorted(entries()))
def test_a_decision_says_what_enforces_it(number: int) -> None:
    text = entries()[number]
    words = ("**Decision.**", "**Why.**", "**Cost.**", "**Enforced by**")
    assert [word for word in words if word not in text] == []
    named = PATH.findall(text.partition("**Enforced by**")[2])
    assert named
    assert [path for path, _ in named if not (ROOT / path).exists()] == []
    assert [test for path, test in named if test and test not in defined_in(Path(path))] == []


def test_decisions_are_numbered_and_indexed() -> None:
    index = DECISIONS.partition("## Index")[2].partition("\n## ")[0]
    assert sorted(entries()) == list(range(1, len(entries()) + 1))
    assert {int(number) for number in re.findall(r"\d+", index)} == set(entries())


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files(page: Path) -> None:
    linked = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in linked if not (ROOT / page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_make_targets_exist(page: Path) -> None:
    named = re.findall(r"`make ([a-z][a-z-]+)", (ROOT / page).read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("layer", ["functions", "handlers", "jobs", "executor"])
def test_the_tables_of_rooms_name_every_room(layer: str) -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition(f"**{layer}/**")[2].partition("\n**")[0]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    places = {path.relative_to(layer).parts[0] for path in tracked_files() if path.parts[0] == layer}
    assert named == {place for place in places if not place.startswith("__") and "ocker" not in place}
