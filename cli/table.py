"""Print rows as a table: the one style of all commands.

On a terminal a table fits: the last column is cut, and in a narrow terminal each row becomes lines of its own. In a
pipe nothing is cut. Cells cannot control the terminal.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from cli.chat.screen import visible

LEAST_WIDTH = 12
"""The last column is never cut to fewer characters."""
EMPTY = "No entries."


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows below their columns' names, or one sentence when there are none."""
    print("\n".join(table_lines(columns, rows, width=terminal_width())))


def terminal_width() -> int | None:
    """Return the terminal's width in characters; None when the output goes elsewhere."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    except (OSError, ValueError):
        return None


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Return the table's lines, at most `width` characters long; None is no limit."""
    if not rows:
        return [EMPTY]
    cells = [[_in_one_line(cell) for cell in row] for row in rows]
    heads = [column.upper() for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    before_last = sum(widths[:-1]) + 2 * (len(widths) - 1)
    if width is not None and before_last + min(widths[-1], LEAST_WIDTH) > width:
        return [line for row in cells for line in _block(columns, row, width)]
    if width is not None:
        widths[-1] = min(widths[-1], width - before_last)
    return [_line(row, widths) for row in (heads, *cells)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    shown = [*row[:-1], cut(row[-1], widths[-1])]
    return "  ".join(cell.ljust(size) for cell, size in zip(shown, widths, strict=True)).rstrip()


def _block(columns: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """Return the first cell on a line of its own, and below it what the row says besides."""
    rest = [f"  {name}: {cell}" for name, cell in zip(columns[1:], row[1:], strict=True) if cell]
    return [row[0], *(cut(line, max(width, LEAST_WIDTH)) for line in rest)]


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: max(length - 3, 0)].rstrip()}..."


def _in_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", visible(text)).strip()
