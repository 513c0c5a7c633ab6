"""README's table of settings and the settings in the code are the same, defaults included."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tests.structure.settings import direct_reads, documented, fields

# Read by what we start, not by us: the shell's own and other programs' names.
NOT_OURS = {"PATH", "HOME", "LANG", "TERM", "TMPDIR", "NO_COLOR", "SHELL", "USER"}


def is_shown(field: FieldInfo) -> bool:
    """A default that a table can show: not a secret, not nothing, not computed."""
    return field.default not in (PydanticUndefined, None, "") and not isinstance(field.default, SecretStr)


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


@pytest.mark.parametrize("name", sorted(name for name, field in fields().items() if is_shown(field)))
def test_the_documented_default_is_the_real_one(name: str) -> None:
    default_cell = documented()[name][0]
    assert default_cell.replace("`", "").replace(",", "").split(" (")[0] == as_shown(fields()[name].default)
