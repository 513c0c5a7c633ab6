"""Files of a session without a worker: listed, previewed and downloaded from its snapshots."""

from __future__ import annotations

import os
import random
from uuid import uuid4

from handlers.files.preview import PREVIEW_BYTES
from tests.integration.functions.conftest import answer_json
from tests.integration.functions.files.conftest import SavedSession


def test_a_folder_is_listed_folders_first_and_by_pages(saved: SavedSession) -> None:
    for name in ("b.txt", "a.txt", "c.txt"):
        (saved.workspace / name).write_text(name * 3)
    (saved.workspace / "z").mkdir()
    (saved.workspace / "y" / "deep").mkdir(parents=True)
    (saved.workspace / "link").symlink_to("../../etc/passwd")
    snapshot_id = saved.save()
    page = saved.read("tree", limit=2)
    names = [item["name"] for item in page["items"]]
    while "nextCursor" in page:
        page = saved.read("tree", limit=2, cursor=page["nextCursor"])
        names += [item["name"] for item in page["items"]]
    assert names == ["y", "z", "a.txt", "b.txt", "c.txt", "link"]
    whole = saved.read("tree", path="/")
    assert whole["snapshotId"] == str(snapshot_id)
    assert whole["asOf"].endswith("Z")
    by_name = {item["name"]: item for item in whole["items"]}
    assert (by_name["a.txt"]["kind"], by_name["a.txt"]["size"], by_name["a.txt"]["mode"] & 0o700) == ("file", 15, 0o600)
    assert (by_name["link"]["kind"], by_name["link"]["target"]) == ("symlink", "../../etc/passwd")
    assert [item["path"] for item in saved.read("tree", path="y")["items"]] == ["y/deep"]
    assert saved.read("tree", path="y/deep")["items"] == []


def test_each_run_keeps_its_own_files(saved: SavedSession) -> None:
    first, second = saved.run(), saved.run()
    (saved.workspace / "note").write_text("one")
    one = saved.save(first)
    (saved.workspace / "note").write_text("two, longer")
    saved.save(second)
    assert saved.read("content", path="note")["text"] == "two, longer"
    assert saved.read("content", path="note", snapshot=one)["text"] == "one"
    of_first = saved.read("content", path="note", runId=first)
    assert (of_first["text"], of_first["runId"], of_first["snapshotId"]) == ("one", str(first), str(one))
    assert saved.get("content", path="note", runId=uuid4()).status_code == 404
    assert saved.get("content", path="note", runId=first, snapshot=one).status_code == 422


PREVIEWS = [
    (b"a\nb\n", "text", "utf-8", "lf", "a\nb\n"),
    (b"a\r\nb\r\n", "text", "utf-8", "crlf", "a\r\nb\r\n"),
    (b"a\r\nb\n", "text", "utf-8", "mixed", "a\r\nb\n"),
    ("grün".encode("cp1252"), "text", "cp1252", "none", "grün"),
    ("\ufeffgrün\n".encode("utf-16-le"), "text", "utf-16-le", "lf", "grün\n"),
    (b"", "text", "utf-8", "none", ""),
    (b"\x89PNG\r\n\x1a\n" + bytes(100), "image", None, None, None),
    (b"%PDF-1.7 ...", "pdf", None, None, None),
    (bytes(range(256)), "binary", None, None, None),
]


def test_a_preview_says_what_the_file_is(saved: SavedSession) -> None:
    for number, (content, *_) in enumerate(PREVIEWS):
        (saved.workspace / f"file-{number}").write_bytes(content)
    saved.save()
    for number, (content, kind, encoding, line_ends, text) in enumerate(PREVIEWS):
        shown = saved.read("content", path=f"file-{number}")
        found = (shown["kind"], shown.get("encoding"), shown.get("lineEnds"), shown.get("text"), shown["cut"])
        assert found == (kind, encoding, line_ends, text, False)
        assert saved.api.get(shown["downloadUrl"]).get_data() == content


def test_a_long_text_is_cut_between_characters(saved: SavedSession) -> None:
    (saved.workspace / "long.md").write_text("x" + "ü" * PREVIEW_BYTES)
    saved.save()
    shown = saved.read("content", path="long.md")
    assert (shown["kind"], shown["cut"], shown["size"]) == ("markdown", True, 1 + 2 * PREVIEW_BYTES)
    assert shown["text"] == "x" + "ü" * (PREVIEW_BYTES // 2 - 1)


def test_downloads_of_all_shapes_are_whole_and_by_range(saved: SavedSession) -> None:
    """Small files of one pack, a large one in parts, one with holes, a hard link and an empty one."""
    contents = {f"small-{number}": os.urandom(50_000 + number) for number in range(20)}
    contents["large"] = os.urandom(20 << 20)
    for name, content in contents.items():
        (saved.workspace / name).write_bytes(content)
    with (saved.workspace / "sparse").open("wb") as sparse:
        sparse.seek(24 << 20)
        sparse.write(b"end")
    contents["sparse"] = bytes(24 << 20) + b"end"
    os.link(saved.workspace / "small-3", saved.workspace / "twin")
    contents |= {"twin": contents["small-3"], "empty": b""}
    (saved.workspace / "empty").touch()
    saved.save()
    chance = random.Random(7)
    for name, content in contents.items():
        got = saved.get("download", path=name)
        assert (got.status_code, got.headers["Content-Length"]) == (200, str(len(content)))
        assert got.get_data() == content, name
        for _ in range(3 if content else 0):
            start = chance.randrange(len(content))
            stop = chance.randrange(start, min(len(content), start + 100_000))
            part = saved.get_with({"Range": f"bytes={start}-{stop}"}, "download", path=name)
            assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes {start}-{stop}/{len(content)}")
            assert part.get_data() == content[start : stop + 1], (name, start, stop)
    beyond = saved.get_with({"Range": "bytes=99999999-"}, "download", path="small-1")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */50001")
    changed = saved.get_with({"Range": "bytes=0-1", "If-Range": '"other"'}, "download", path="small-1")
    assert (changed.status_code, len(changed.get_data())) == (200, 50_001)


def test_nothing_downloaded_runs_as_runyard(saved: SavedSession) -> None:
    name = 'a"\r\nX-Evil: 1\u202egpj.html'
    (saved.workspace / name).write_text("<script>alert(1)</script>")
    saved.save()
    got = saved.get("download", path=name)
    assert "X-Evil" not in got.headers
    assert got.headers["Content-Disposition"] == (
        "attachment; filename=\"a___X-Evil_ 1_gpj.html\"; filename*=UTF-8''a___X-Evil_%201_gpj.html"
    )
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Security-Policy"].startswith("sandbox")
    assert got.get_data() == b"<script>alert(1)</script>"


def test_pages_and_drawings_with_scripts_are_neither_shown_nor_run(saved: SavedSession) -> None:
    script = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    names = ("page.html", "page.xhtml", "drawing.svg", "drawing.SVG", "feed.xml", "page.mht")
    for name in names:
        (saved.workspace / name).write_bytes(script)
    saved.save()
    for got in [*(saved.get("download", path=name) for name in names), saved.get("zip")]:
        assert got.headers["Content-Disposition"].startswith("attachment;")
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for name in names:
        shown = saved.get("content", path=name)
        assert (shown.mimetype, answer_json(shown)["kind"]) == ("application/json", "text")


PDF = b"%PDF-1.4\n%%EOF\n" + bytes(100)
NO_PDFS = {
    "page.pdf": b"<!doctype html><script>alert(1)</script>",
    "late.pdf": b"<script>alert(1)</script>\n%PDF-1.4",
    "short.pdf": b"%PDF",
    "empty.pdf": b"",
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "script.js": b"alert(1)",
    "dot.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
}
VIEWER_HEADERS = {
    "X-Content-Type-Options": ["nosniff"],
    "Content-Security-Policy": [
        "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ],
    "Cross-Origin-Resource-Policy": ["same-origin"],
    "Cross-Origin-Opener-Policy": ["same-origin"],
    "Referrer-Policy": ["no-referrer"],
    "Cache-Control": ["no-store"],
}


def test_a_pdf_is_sent_for_the_browsers_viewer_only_when_the_query_wants_it(saved: SavedSession) -> None:
    """Also one that is a page or a script at the same time: its type says that it is nothing but a PDF."""
    contents = {
        "paper.pdf": PDF,
        "page.html": b"%PDF-1.4\n<script>alert(1)</script>",
        'a"\r\nX-Evil: 1\u202e.js': b"%PDF-1.4\nalert(1)",
    }
    for name, content in contents.items():
        (saved.workspace / name).write_bytes(content)
    saved.save()
    for name, content in contents.items():
        assert saved.get("download", path=name).headers["Content-Disposition"].startswith("attachment;")
        got = saved.get("download", path=name, inline="true", link="true")
        assert (got.status_code, got.get_data(), got.headers["Content-Type"]) == (200, content, "application/pdf")
        assert got.headers["Content-Disposition"].startswith("inline; filename=")
        assert {name: got.headers.get_all(name) for name in VIEWER_HEADERS} == VIEWER_HEADERS
        assert "X-Evil" not in got.headers
        part = saved.get_with({"Range": "bytes=5-9"}, "download", path=name, inline="true")
        assert (part.status_code, part.get_data(), part.mimetype) == (206, content[5:10], "application/pdf")
    beyond = saved.get_with({"Range": "bytes=999999-"}, "download", path="paper.pdf", inline="true")
    assert (beyond.status_code, beyond.mimetype) == (416, "application/problem+json")
    sent = [row["bytes"] for row in saved.audited() if (row["path"], row["reason"]) == ("paper.pdf", "ok")]
    assert sorted(sent) == [5, len(PDF), len(PDF)]


def test_a_file_that_does_not_begin_as_a_pdf_stays_an_attachment(saved: SavedSession) -> None:
    for name, content in NO_PDFS.items():
        (saved.workspace / name).write_bytes(content)
    saved.save()
    for name, content in NO_PDFS.items():
        got = saved.get("download", path=name, inline="true")
        assert (got.status_code, got.get_data()) == (200, content)
        assert got.headers["Content-Disposition"].startswith("attachment;")
        assert got.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_hostile_names_are_listed_and_read_by_the_name_that_was_listed(saved: SavedSession) -> None:
    deep = "/".join(["d" * 200] * 15)  # with the file system's own limit of a path, made step by step
    (saved.workspace / deep).mkdir(parents=True)
    names = [
        b"new\nline",
        "\u202eright".encode(),
        b"..hidden",
        b"...",
        b"\xff\xfe",
        b"base64:AAAA",
        b"%2e%2e",
        b"a\\..\\b",
    ]
    for name in [*names, deep.encode() + b"/" + b"n" * 255]:
        with open(os.fsencode(saved.workspace) + b"/" + name, "wb") as file:
            file.write(b"content of " + name)
    saved.save()
    items = [item for item in saved.read("tree")["items"] if item["kind"] == "file"]
    assert len(items) == len(names)
    read = {saved.get("download", path=item["path"]).get_data() for item in items}
    assert read == {b"content of " + name for name in names}
    assert "base64://4=" in {item["path"] for item in items}
    below = saved.read("tree", path=deep)["items"]
    assert saved.get("download", path=below[0]["path"]).get_data() == b"content of " + deep.encode() + b"/" + b"n" * 255


PATHS = {
    "../secret": 422,
    "a/../note": 422,
    "/etc/passwd": 404,
    "./note": 422,
    "note/": 200,
    "note\x00": 422,
    "base64:bm90ZQ==": 422,
    "base64:%%": 422,
    "note/x": 404,
    "x" * 6001: 422,
    "folder": 422,
}


def test_only_paths_of_the_snapshot_are_read(saved: SavedSession) -> None:
    (saved.workspace / "note").write_text("note")
    (saved.workspace / "folder").mkdir()
    saved.save()
    for verb in ("content", "download"):
        assert {path: saved.get(verb, path=path).status_code for path in PATHS} == PATHS


def test_the_agents_home_is_the_other_root(saved: SavedSession) -> None:
    (saved.disk.home / "kept").mkdir()
    (saved.disk.home / "kept" / "memory").write_text("remembered")
    saved.save()
    assert saved.read("tree")["items"] == []
    assert saved.read("content", root="agent", path="kept/memory")["text"] == "remembered"
    assert saved.get("tree", root="elsewhere").status_code == 422


def test_a_users_sessions_are_folders(saved: SavedSession, member: str) -> None:
    (saved.workspace / "src").mkdir()
    (saved.workspace / "src" / "main.py").write_text("1")
    saved.save()
    user_id = answer_json(saved.api.get("/api/me"))["userId"]
    top = answer_json(saved.api.get(f"/api/files/tree?userId={user_id}&path=/"))["items"]
    assert [(item["name"], item["path"], item["title"]) for item in top] == [(str(saved.id), f"/{saved.id}", "files")]
    inner = answer_json(saved.api.get(f"/api/files/tree?userId={user_id}&path=/{saved.id}/src"))["items"]
    assert [item["path"] for item in inner] == [f"/{saved.id}/src/main.py"]
    admin, saved.api.token = saved.api.token, member
    for path in ("/", f"/{saved.id}/src"):
        assert saved.api.get(f"/api/files/tree?userId={user_id}&path={path}").status_code == 404
    mia = answer_json(saved.api.get("/api/me"))["userId"]
    assert saved.api.get(f"/api/files/tree?userId={mia}&path=/{saved.id}").status_code == 404
    assert answer_json(saved.api.get(f"/api/files/tree?userId={mia}&path=/"))["items"] == []
    strange = saved.api.get(f"/api/files/tree?userId={uuid4()}&path=/")
    assert (strange.status_code, answer_json(strange)["code"]) == (404, "unknown_user")
    saved.api.token = admin
    assert answer_json(saved.api.get(f"/api/files/tree?userId={mia}&path=/"))["items"] == []


def test_an_admin_learns_that_there_is_no_such_user(saved: SavedSession) -> None:
    for path in ("/", f"/{saved.id}"):
        found = saved.api.get(f"/api/files/tree?userId={uuid4()}&path={path}")
        assert (found.status_code, answer_json(found)["code"]) == (404, "unknown_user")
