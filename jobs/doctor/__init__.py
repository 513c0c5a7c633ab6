"""`python -m jobs doctor`: looks at everything that a deployment needs, and says what is wrong and what to do about it.

Each check gives findings and never raises for what it looks for. Nothing is changed beyond objects of its own, which
are deleted again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`state`: `ok`; `note`, works but is worth knowing; `wrong`, does not work. `todo` is empty where nothing is."""

    part: str
    state: Literal["ok", "note", "wrong"]
    what: str
    todo: str = ""
