"""docs/settings.md is what the settings classes say; every setting that code reads stands there once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.settings_page import FILE, NONE, SET_BY_UP, as_shown, in_words, page
from tests.structure.repository import ROOT
from tests.structure.settings import SETTING, direct_reads, documented, fields, rows_of

# Read by what we start, not by us: the shell's own and other programs' names.
NOT_OURS = {"PYTEST_VERSION", "PATH", "HOME", "LANG", "TERM", "TMPDIR", "NO_COLOR", "SHELL", "USER", "XDG_RUNTIME_DIR"}
NOT_OURS |= {"OPENCODE_CONFIG_CONTENT", "RUNYARD_CODEX"}


def test_the_settings_page_is_the_generated_one() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run `make settings`"


def test_every_setting_is_documented() -> None:
    assert (set(fields()) | direct_reads()) - NOT_OURS - set(documented()) == set()


def test_no_setting_is_documented_that_nothing_reads() -> None:
    assert set(documented()) - set(fields()) - direct_reads() == set()


def test_each_setting_stands_once() -> None:
    counted = Counter(name for name, _ in rows_of(FILE.read_text(encoding="utf-8")))
    assert [name for name, count in counted.items() if count > 1] == []


def test_settings_that_readme_shows_are_documented() -> None:
    shown = {name for name, _ in rows_of((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert shown
    assert shown - set(documented()) == set()


def test_what_make_up_sets_is_a_setting() -> None:
    assert set(SET_BY_UP) <= set(fields())


@pytest.mark.parametrize("name", sorted(fields()))
def test_all_that_read_a_setting_have_one_default_and_one_description(name: str) -> None:
    readers = fields()[name]
    defaults = {as_shown(field) for field in readers if not field.is_required() and not in_words(field)} - {NONE}
    assert len(defaults) <= 1
    assert len({field.description for field in readers}) == 1
    assert (readers[0].description or "").endswith(".")


def test_readme_shows_the_real_defaults() -> None:
    rows = dict(rows_of((ROOT / "README.md").read_text(encoding="utf-8")))
    wrong = {
        name: cells[0]
        for name, cells in rows.items()
        if SETTING.fullmatch(f"`{name}`") and cells[0] != documented()[name][0]
    }
    assert wrong == {}
