"""One table for all commands: whole in a pipe, fitting on a terminal, in lines where that is narrow."""

from __future__ import annotations

from cli.table import table_lines

COLUMNS = ("id", "status", "title")
ROW = ["a" * 36, "idle", "A long title of a session that goes on and on"]


def test_in_a_pipe_nothing_is_cut() -> None:
    head, line = table_lines(COLUMNS, [ROW])
    assert head.split() == ["ID", "STATUS", "TITLE"]
    assert line.endswith(ROW[2])


def test_on_a_terminal_the_last_column_is_cut_to_fit() -> None:
    lines = table_lines(COLUMNS, [ROW], width=60)
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith(f"{ROW[0]}  idle    A long")
    assert lines[1].endswith("...")


def test_in_a_narrow_terminal_each_row_becomes_lines_and_its_id_stays_whole() -> None:
    lines = table_lines(COLUMNS, [ROW], width=40)
    assert lines[:2] == [ROW[0], "  status: idle"]
    assert max(map(len, lines)) <= 40


def test_cells_cannot_steer_the_terminal_or_break_a_line() -> None:
    assert table_lines(("a",), [["x\x1b[31m\ny"]])[1] == "x[31m y"


def test_no_rows_are_said() -> None:
    assert table_lines(COLUMNS, []) == ["No entries."]
