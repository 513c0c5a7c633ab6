"""README's table of settings and the settings in the code are the same, defaults included."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.structure.settings import direct_reads, documented, fields

# Defaults that follow from other settings, told in words.
DERIVED = {"API_STREAMS_MAX"}
# Read by what we start, not by us: the shell's own and other programs' names.
NOT_OURS = {"PYTEST_VERSION", "PATH", "HOME", "LANG", "TERM", "TMPDIR", "NO_COLOR", "SHELL", "USER"}


def shown_defaults() -> dict[str, set[str]]:
    """Each setting's defaults as a table can show them; those that are empty, secret or derived are left out."""
    found: dict[str, set[str]] = {}
    for name, readers in fields().items():
        for field in readers:
            if not field.is_required() and field.default not in (None, "") and not isinstance(field.default, SecretStr):
                found.setdefault(name, set()).add(as_shown(field.default))
    return found


def as_shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    if isinstance(default, Path):
        return default.as_posix()
    if isinstance(default, tuple | list | frozenset):
        return ",".join(as_shown(item) for item in default)
    return str(default)


def test_every_setting_is_documented() -> None:
    assert (set(fields()) | direct_reads()) - NOT_OURS - set(documented()) == set()


def test_no_setting_is_documented_that_nothing_reads() -> None:
    assert set(documented()) - set(fields()) - direct_reads() == set()


def test_all_that_read_a_setting_have_one_default_for_it() -> None:
    assert {name: defaults for name, defaults in shown_defaults().items() if len(defaults) > 1} == {}


@pytest.mark.parametrize("name", sorted(set(shown_defaults()) - DERIVED))
def test_the_documented_default_is_the_real_one(name: str) -> None:
    cell = documented()[name][0].replace("`", "").partition(" (")[0]
    assert {cell.replace(",", "").replace(" ", "")} == {default.replace(",", "") for default in shown_defaults()[name]}
