"""`python -m jobs doctor`: check a deployment and report each fault with its fix.

Each check returns findings and does not raise for the faults that it checks. The doctor writes only its own probe
objects, and deletes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The result of a check. `note` works with a limitation, `wrong` does not work. `todo` is the fix, or empty."""

    part: str
    state: Literal["ok", "note", "wrong"]
    what: str
    todo: str = ""
