"""Find a text in the lines of a file, the same way in live workspaces and in snapshots."""

from __future__ import annotations

from schema.wire import Wire

MOST_FILE_BYTES = 1 << 20
"""Longer files are not searched, and the answer is partial."""
MOST_LINES_OF_FILE = 5
MOST_LINE = 300
"""Characters that are shown of a line, around the match."""
_BEFORE_MATCH = 100
_BINARY_LOOK_BYTES = 8192


class TextMatch(Wire):
    """A line that holds the text: its number from 1, and what is shown of it."""

    line: int
    text: str


def text_matches(content: bytes, wanted: str) -> list[TextMatch]:
    """Return the first lines that hold the text in any case. Content with a NUL is no text and has none."""
    if b"\x00" in content[:_BINARY_LOOK_BYTES]:
        return []
    text, folded = content.decode(errors="replace"), wanted.casefold()
    if folded not in text.casefold():
        return []
    matches: list[TextMatch] = []
    for number, line in enumerate(text.split("\n"), start=1):
        at = line.casefold().find(folded)
        if at >= 0:
            matches.append(TextMatch(line=number, text=_shown(line, at)))
            if len(matches) == MOST_LINES_OF_FILE:
                break
    return matches


def _shown(line: str, at: int) -> str:
    """Return what is shown of a line around the match; a NUL, which PostgreSQL stores not, is replaced."""
    start = max(0, at - _BEFORE_MATCH) if len(line) > MOST_LINE else 0
    return line[start : start + MOST_LINE].rstrip("\r").replace("\x00", "\ufffd")
