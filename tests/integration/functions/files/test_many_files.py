"""Many files at once, without a worker: found by name, zipped, and compared between runs."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from cli.__main__ import main
from tests.integration.functions.conftest import Serve, answer_json
from tests.integration.functions.files.conftest import SavedSession
from tests.object_stores import RunningStore


@pytest.fixture
def command_line(serve: Serve, object_store: RunningStore, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what starts a server over the saved files and points the command line to it."""

    def start() -> None:
        served = serve(**object_store.environment)
        monkeypatch.setenv("RUNYARD_URL", served.url)
        monkeypatch.setenv("RUNYARD_TOKEN", served.token)

    return start


def archive_of(saved: SavedSession, path: str = "") -> zipfile.ZipFile:
    got = saved.get("zip", path=path)
    assert got.status_code == 200, got.get_data(as_text=True)
    return zipfile.ZipFile(io.BytesIO(got.get_data()))


def test_a_folder_is_zipped_whole(saved: SavedSession, tmp_path: Path) -> None:
    (saved.workspace / "project" / "src").mkdir(parents=True)
    contents = {f"src/{number}.bin": os.urandom(1000 * number) for number in range(1, 30)}
    contents |= {"large": os.urandom(18 << 20), "empty": b"", "grün": b"umlaut"}
    for name, content in contents.items():
        (saved.workspace / "project" / name).write_bytes(content)
    os.link(saved.workspace / "project" / "large", saved.workspace / "project" / "src" / "twin")
    (saved.workspace / "project" / "out").symlink_to("/etc")
    (saved.workspace / "project" / "hollow").mkdir()
    saved.save()
    archive = archive_of(saved, "project")
    assert archive.testzip() is None
    archive.extractall(tmp_path / "unpacked")
    unpacked = tmp_path / "unpacked" / "project"
    assert {name: (unpacked / name).read_bytes() for name in contents} == contents
    assert (unpacked / "src" / "twin").read_bytes() == contents["large"]
    assert (unpacked / "hollow").is_dir()
    assert not (unpacked / "out").exists()
    assert archive.comment == b"1 symbolic links are left out."
    [row] = saved.audited()
    members = len(contents) + 1 + 2
    assert (row["action"], row["files"], row["allowed"]) == ("zip", members, True)


def test_names_in_a_zip_lead_nowhere_else_and_stay_apart(saved: SavedSession) -> None:
    for name in (b"..\\evil", b"C:evil", b"new\nline", b"new\tline", b"\xff", b"\xfe", "\u202egpj.exe".encode()):
        with open(os.fsencode(saved.workspace) + b"/" + name, "wb") as file:
            file.write(name)
    saved.save()
    archive = archive_of(saved)
    names = archive.namelist()
    assert len(names) == len(set(names)) == 7
    assert {archive.read(name) for name in names} == {
        *(b"..\\evil", b"C:evil", b"new\nline", b"new\tline", b"\xff", b"\xfe", "\u202egpj.exe".encode())
    }
    for shown in names:
        assert shown.startswith("workspace/")
        assert not set(shown) & set("\\:\n\t\u202e")
        assert ".." not in shown.split("/")


def test_files_are_found_by_name_in_bounds(saved: SavedSession) -> None:
    (saved.workspace / "deep" / "down").mkdir(parents=True)
    for number in range(12):
        (saved.workspace / "deep" / "down" / f"Report-{number}.txt").touch()
    saved.save()
    found = saved.read("search", q="rePORT")
    assert (len(found["items"]), found["partial"]) == (12, False)
    assert found["items"][0]["path"].startswith("deep/down/Report-")
    few = saved.read("search", q="report", limit=5)
    assert (len(few["items"]), few["partial"]) == (5, True)
    assert [item["kind"] for item in saved.read("search", q="down")["items"]] == ["folder"]


def test_two_runs_are_compared(saved: SavedSession) -> None:
    first, second = saved.run(), saved.run()
    for name in ("same", "gone", "edited"):
        (saved.workspace / name).write_text("one\ntwo\nthree\n")
    (saved.workspace / "picture").write_bytes(bytes(100))
    one = saved.save(first)
    (saved.workspace / "gone").unlink()
    (saved.workspace / "edited").write_text("one\n2\nthree\nfour\n")
    (saved.workspace / "new").write_text("fresh")
    (saved.workspace / "picture").write_bytes(bytes(101))
    two = saved.save(second)
    compared = saved.read("diff", **{"from": first, "to": second})
    assert (compared["fromSnapshot"], compared["toSnapshot"]) == (str(one), str(two))
    rows = [
        (file["path"], file["change"], file.get("added"), file.get("removed"), file["binary"])
        for file in compared["files"]
    ]
    assert rows == [
        ("edited", "changed", 2, 1, False),
        ("gone", "removed", 0, 3, False),
        ("new", "added", 1, 0, False),
        ("picture", "changed", None, None, True),
    ]
    page = saved.read("diff", **{"from": one, "to": two}, limit=3)
    rest = saved.read("diff", **{"from": one, "to": two}, limit=3, cursor=page["nextCursor"])
    assert [file["path"] for file in page["files"] + rest["files"]] == [row[0] for row in rows]
    assert "nextCursor" not in rest
    edited = saved.read("diff", **{"from": first, "to": second}, path="edited")
    assert (edited["old"], edited["new"], edited["cut"]) == ("one\ntwo\nthree\n", "one\n2\nthree\nfour\n", False)
    assert edited["patch"] == "--- a/edited\n+++ b/edited\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+four\n"
    assert saved.read("diff", **{"from": second, "to": second})["files"] == []
    assert saved.get("diff", **{"from": first, "to": second}, path="same").status_code == 404
    assert saved.get("diff", **{"from": first, "to": uuid4()}).status_code == 404


@pytest.mark.parametrize("verb", ["search", "zip", "diff"])
def test_another_users_files_are_not_there(saved: SavedSession, member: str, verb: str) -> None:
    run = saved.run()
    saved.save(run)
    needed: dict[str, dict[str, object]] = {"search": {"q": "a"}, "zip": {}, "diff": {"from": run, "to": run}}
    more = needed[verb]
    assert saved.get(verb, **more).status_code == 200
    admin, saved.api.token = saved.api.token, member
    refused = saved.get(verb, **more)
    assert (refused.status_code, answer_json(refused)["code"]) == (404, "unknown_session")
    saved.api.token = admin
    rows = [(row["action"], row["userName"], row["allowed"], row["reason"]) for row in saved.audited()]
    assert rows == [(verb, "admin", True, "ok"), (verb, "mia", False, "unknown_session")]


def test_the_terminal_lists_and_gets_files(
    saved: SavedSession,
    command_line: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (saved.workspace / "src").mkdir()
    content = os.urandom(300_000)
    (saved.workspace / "src" / "data.bin").write_bytes(content)
    (saved.workspace / "bad\x1b[31mname").touch()
    saved.save()
    command_line()
    monkeypatch.chdir(tmp_path)
    assert main(["files", "list", str(saved.id)]) == 0
    listed = capfd.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == ["KIND", "folder", "file"]
    assert "\x1b" not in listed
    assert main(["files", "get", str(saved.id), "src/data.bin"]) == 0
    assert (tmp_path / "data.bin").read_bytes() == content
    assert main(["files", "get", str(saved.id), "src/data.bin"]) == 1
    assert "data.bin" in capfd.readouterr().err
    assert main(["files", "get", str(saved.id), "src/none", "-o", "none"]) == 1
    assert "no such path" in capfd.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_terminal_lists_all_changes_as_one_json_list(
    saved: SavedSession, command_line: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """A page of the API has 100 changes by default."""
    first, second = saved.run(), saved.run()
    saved.save(first)
    names = [f"{number:03}.txt" for number in range(150)]
    for name in names:
        (saved.workspace / name).write_text("new\n")
    saved.save(second)
    command_line()
    between = [str(saved.id), str(first), str(second)]
    capfd.readouterr()  # what the start of the runs logged
    assert main(["files", "diff", *between, "--json"]) == 0
    assert [(file["path"], file["change"]) for file in json.loads(capfd.readouterr().out)] == [
        (name, "added") for name in names
    ]
    assert main(["files", "diff", *between]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert [(line[0], line[-1]) for line in lines] == [("A", name) for name in names]
    assert lines[0][1:3] == ["+1", "-0"]  # later files may be beyond the time for counting
    assert main(["files", "diff", *between, "007.txt", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["new"] == "new\n"
    assert main(["files", "diff", *between, "007.txt"]) == 0
    assert capfd.readouterr().out.endswith("+new\n")


def test_the_terminal_finds_files_and_zips_a_folder(
    saved: SavedSession, command_line: Callable[[], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (saved.workspace / "src").mkdir()
    (saved.workspace / "src" / "one.py").write_text("first\nhello \x1b[31mworld\n")
    (saved.workspace / "src" / "two.py").write_text("nothing\n")
    run = uuid4()
    saved.save()
    command_line()
    assert main(["files", "search", str(saved.id), ".py"]) == 0
    assert capfd.readouterr().out.splitlines() == ["src/one.py", "src/two.py"]
    assert main(["files", "search", str(saved.id), "WORLD", "--text"]) == 0
    [line] = capfd.readouterr().out.splitlines()
    assert line.startswith("src/one.py:2: hello ")
    assert "\x1b" not in line
    assert main(["files", "search", str(saved.id), "world", "--run", str(run)]) == 1
    assert "no such saved state" in capfd.readouterr().err
    target = tmp_path / "of-src.zip"
    assert main(["files", "zip", str(saved.id), "src", "-o", str(target)]) == 0
    assert zipfile.ZipFile(target).read("src/two.py") == b"nothing\n"
    assert main(["files", "zip", str(saved.id), "src", "-o", str(target)]) == 1
