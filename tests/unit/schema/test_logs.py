"""Log lines: what must never be in one."""

from __future__ import annotations

from schema.logs import without_signatures

LINK = "http://127.0.0.1:9/b/k?X-Amz-Credential=AKID%2F2026&X-Amz-Date=1&X-Amz-Security-Token=tt&X-Amz-Signature=abcdef"


def test_a_link_in_a_line_loses_what_makes_it_work() -> None:
    line = without_signatures(None, "info", {"event": f'HTTP Request: PUT {LINK} "HTTP/1.1 200 OK"', "exception": LINK})
    for text in line.values():
        assert all(secret not in text for secret in ("abcdef", "AKID", "=tt"))
    assert line["event"].endswith('"HTTP/1.1 200 OK"')


def test_other_lines_are_left_alone() -> None:
    assert without_signatures(None, "info", {"event": "saved", "bytes": 3}) == {"event": "saved", "bytes": 3}
