"""Say of a run's files that they are not those of its end, in the same words wherever they are shown."""

from __future__ import annotations

NO_END_SAVED = "No snapshot of the run's own end is saved. These are its files as they were last saved before its end."
EXACT_HEADER = "Runyard-Exact"
"""The header of downloads: `true` or `false` where a run was named."""


def exact_note(*, exact: bool | None) -> str | None:
    """Return the sentence that belongs to `exact: false`; otherwise None."""
    return NO_END_SAVED if exact is False else None
