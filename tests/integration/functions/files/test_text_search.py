"""Files of a snapshot are found by their text, within bounds that the answer tells."""

from __future__ import annotations

import os

import pytest

from functions.files import searching
from schema.text_search import MOST_FILE_BYTES
from tests.integration.functions.files.conftest import SavedSession


def test_files_are_found_by_their_text_with_their_lines(saved: SavedSession) -> None:
    (saved.workspace / "src").mkdir()
    (saved.workspace / "src" / "a.py").write_text("one\ntwo NEEDLE\n")
    (saved.workspace / "needle.txt").write_text("nothing here")
    (saved.workspace / "binary").write_bytes(b"\x00needle")
    (saved.workspace / "link").symlink_to("src/a.py")
    os.link(saved.workspace / "src" / "a.py", saved.workspace / "twin.py")
    saved.save()
    found = saved.read("search", q="needle", **{"in": "text"})
    assert not found["partial"]
    assert {item["path"]: item["matches"] for item in found["items"]} == {
        "src/a.py": [{"line": 2, "text": "two NEEDLE"}],
        "twin.py": [{"line": 2, "text": "two NEEDLE"}],
    }
    assert {item["path"] for item in saved.read("search", q="needle")["items"]} == {"needle.txt"}
    text, names = saved.audited()
    assert (text["action"], text["files"], names.get("bytes")) == ("search", 2, None)
    assert text["bytes"] > 0


def test_an_older_state_is_searched_by_its_run(saved: SavedSession) -> None:
    (saved.workspace / "note").write_text("needle")
    old = saved.save()
    (saved.workspace / "note").write_text("hay")
    saved.save()
    assert saved.read("search", q="needle", **{"in": "text"})["items"] == []
    assert len(saved.read("search", q="needle", snapshot=old, **{"in": "text"})["items"]) == 1


def test_a_search_ends_at_its_bounds_and_says_so(saved: SavedSession, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        (saved.workspace / f"{number}.txt").write_bytes(b"needle " + os.urandom(900_000).hex().encode()[:900_000])
        saved.save()
    found = saved.read("search", q="needle", limit=3, **{"in": "text"})
    assert (len(found["items"]), found["partial"]) == (3, True)
    monkeypatch.setattr(searching, "TEXT_BYTES", 1_500_000)
    found = saved.read("search", q="needle", **{"in": "text"})
    assert (len(found["items"]), found["partial"]) == (2, True)
    monkeypatch.setattr(searching, "TEXT_SECONDS", 0)
    found = saved.read("search", q="needle", **{"in": "text"})
    assert (found["items"], found["partial"]) == ([], True)


def test_a_long_file_is_left_out_and_that_is_said(saved: SavedSession) -> None:
    (saved.workspace / "long").write_bytes(b"needle" + b"x" * MOST_FILE_BYTES)
    (saved.workspace / "short").write_bytes(b"needle")
    saved.save()
    found = saved.read("search", q="needle", **{"in": "text"})
    assert ([item["path"] for item in found["items"]], found["partial"]) == (["short"], True)


def test_denied_files_are_not_searched(saved: SavedSession) -> None:
    for name in ("secret", "note"):
        (saved.workspace / name).write_text("needle")
    saved.save()
    assert saved.api.post("/api/admin/file-policies", {"effect": "deny", "pattern": "secret"}).status_code == 201
    found = saved.read("search", q="needle", **{"in": "text"})
    assert [item["path"] for item in found["items"]] == ["note"]
