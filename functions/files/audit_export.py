"""Export the audit page by page, so that no connection to the database is held while a client reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from functions.files.schemas import FileAccessAnswer
from functions.runtime.process import ApiProcess
from handlers.files.audit import AuditFilter, FileAccessRow, file_audit

PAGE_ROWS = 1000
JSON_LINES = "application/jsonl"
CSV = "text/csv"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet runs a cell that begins so as a formula (OWASP, CSV Injection)."""


def audit_pages(process: ApiProcess, chosen: AuditFilter) -> Iterator[list[FileAccessAnswer]]:
    """Yield all rows that fit, newest first."""
    before = None
    while True:
        with process.transaction() as conn:
            page: list[FileAccessRow] = file_audit(conn, chosen, before=before, limit=PAGE_ROWS)
        yield [FileAccessAnswer(**vars(row)) for row in page]
        if len(page) < PAGE_ROWS:
            return
        before = page[-1].at.isoformat(), page[-1].id


def as_json_lines(pages: Iterator[list[FileAccessAnswer]]) -> Iterator[bytes]:
    """Yield a line for each row, as the list of the API shows it."""
    for page in pages:
        yield "".join(f"{row.model_dump_json(by_alias=True, exclude_none=True)}\n" for row in page).encode()


def as_csv(pages: Iterator[list[FileAccessAnswer]]) -> Iterator[bytes]:
    """Yield a header and a line for each row (RFC 4180), in cells that no spreadsheet runs."""
    names = [field.alias or name for name, field in FileAccessAnswer.model_fields.items()]
    header = [names]
    for page in pages:
        rows = [row.model_dump(mode="json", by_alias=True) for row in page]
        yield _lines(header + [[_cell(row[name]) for name in names] for row in rows])
        header = []


def _lines(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    """Return the cell's text: empty for nothing, and with an apostrophe before what would be a formula."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text
