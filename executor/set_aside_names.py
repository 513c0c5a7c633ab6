"""Name a file of a home that is out of use, and read what its name was before.

The name is `.NAME.set-aside-N`. It begins with a dot, because an agent skips such names in a folder that it searches.
An older form, `NAME.set-aside-N`, is read but never given.
"""

from __future__ import annotations

import re

SET_ASIDE = ".set-aside-"
_FORM = re.compile(r"(.+)\.set-aside-([1-9][0-9]{0,8})", re.DOTALL)


def name_aside(name: str, number: int) -> str:
    """Return the name under which a file goes out of use."""
    dot = "" if name.startswith(".") else "."
    return f"{dot}{name}{SET_ASIDE}{number}"


def is_aside(name: str) -> bool:
    """Tell whether the name is exactly one that `name_aside` gives."""
    return name.startswith(".") and number_of(name) is not None


def number_of(name: str) -> int | None:
    """Return the number at the name's end, of the older form too; None for any other name."""
    form = _FORM.fullmatch(name)
    return None if form is None else int(form[2])


def could_have_been(name: str, before: str) -> bool:
    """Tell whether a file of this name may be one that had the name `before`, set aside once or several times."""
    while form := _FORM.fullmatch(name):
        name = form[1]
        if before in (name, name.removeprefix(".")):
            return True
    return False


def is_dropped(path: str, drop: frozenset[str]) -> bool:
    """Tell whether a path with `/` is one of `drop` or below one, also when a part of it was set aside."""
    parts = path.split("/")
    if any("/".join(parts[:count]) in drop for count in range(1, len(parts) + 1)):
        return True
    return SET_ASIDE in path and any(_leads_to(parts, dropped.split("/")) for dropped in drop)


def _leads_to(parts: list[str], wanted: list[str]) -> bool:
    if len(parts) < len(wanted):
        return False
    return all(part == name or could_have_been(part, name) for part, name in zip(parts, wanted, strict=False))
