"""Files of a live workspace: listed, searched, previewed and downloaded through its executor."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import zipfile
from base64 import urlsafe_b64encode
from uuid import uuid4

import pytest

from tests.integration.functions.conftest import answer_json
from tests.integration.functions.files.live.conftest import LiveSession


def test_what_an_agent_wrote_is_read_before_it_is_saved(live: LiveSession) -> None:
    run_id = live.begin("run: until [ -e go ]; do sleep 0.05; done")
    (live.workspace / "now.txt").write_text("just now")
    page = live.read("tree")
    assert (page["state"], page.get("snapshotId"), page["asOf"][-1]) == ("live", None, "Z")
    assert {item["name"] for item in page["items"]} >= {"hello.txt", "now.txt"}
    shown = live.read("content", path="now.txt")
    assert (shown["state"], shown["text"], shown["kind"], shown["encoding"]) == ("live", "just now", "text", "utf-8")
    assert live.api.get(shown["downloadUrl"]).get_data() == b"just now"
    found = live.read("search", q="NOW")
    assert ([item["path"] for item in found["items"]], found["state"]) == (["now.txt"], "live")
    found = live.read("search", q="JUST", **{"in": "text"})
    lines = [(item["path"], item["matches"]) for item in found["items"]]
    assert (lines, found["state"], found["partial"]) == (
        [("now.txt", [{"line": 1, "text": "just now"}])],
        "live",
        False,
    )
    deny = {"effect": "deny", "pattern": "now.txt"}
    policy = live.api.post("/api/admin/file-policies", deny).get_json()
    assert live.read("search", q="JUST", **{"in": "text"})["items"] == []
    assert "now.txt" not in live.names()
    assert live.get("content", path="now.txt").status_code == 403
    assert live.api.delete(f"/api/admin/file-policies/{policy['policyId']}").status_code == 204
    (live.workspace / "go").touch()
    live.wait_for(run_id, "succeeded")


def test_a_live_pdf_is_sent_for_the_browsers_viewer_and_no_other_file(live: LiveSession) -> None:
    run_id = live.begin("run: until [ -e go ]; do sleep 0.05; done")
    for name, content in (("paper.pdf", b"%PDF-1.7 live"), ("page.pdf", b"<script>alert(1)</script>")):
        (live.workspace / name).write_bytes(content)
    paper, page = (live.get("download", path=name, inline="true") for name in ("paper.pdf", "page.pdf"))
    assert (paper.headers["Runyard-State"], paper.mimetype, paper.get_data()) == (
        "live",
        "application/pdf",
        b"%PDF-1.7 live",
    )
    assert paper.headers["Content-Disposition"].startswith("inline;")
    assert paper.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none';")
    assert page.headers["Content-Disposition"].startswith("attachment;")
    (live.workspace / "go").touch()
    live.wait_for(run_id, "succeeded")


def test_folders_are_listed_by_pages_as_those_of_snapshots(live: LiveSession) -> None:
    for name in ("b", "a", "é"):
        (live.workspace / "deep" / name).mkdir(parents=True)
    for name in ("z.txt", "c.txt"):
        (live.workspace / "deep" / name).write_text(name)
    (live.workspace / "deep" / "link").symlink_to("../../../etc/passwd")
    os.mkfifo(live.workspace / "deep" / "pipe")
    with open(os.fsencode(live.workspace / "deep") + b"/\xff\xfe", "wb") as file:
        file.write(b"odd")
    names, page = [], live.read("tree", path="deep", limit=2)
    names += page["items"]
    while "nextCursor" in page:
        page = live.read("tree", path="deep", limit=2, cursor=page["nextCursor"])
        names += page["items"]
    live.api.post(f"/api/session-workers/{live.id}/sync", {})
    saved = live.read("tree", path="deep", at="saved")
    assert saved["state"] == "saved"
    assert names == saved["items"]
    odd = next(item["path"] for item in names if item["path"].startswith("base64:"))
    assert live.get("download", path=odd).get_data() == b"odd"


def test_a_long_live_file_comes_whole_and_by_range(live: LiveSession) -> None:
    content = os.urandom(5 << 20)
    (live.workspace / "long.bin").write_bytes(content)
    got = live.get("download", path="long.bin")
    assert (got.status_code, got.headers["Runyard-State"], got.get_data() == content) == (200, "live", True)
    url = f"/api/files/download?sessionId={live.id}&path=long.bin"
    part = live.api.get(url, headers={"Range": "bytes=3000000-3000009", "If-Range": got.headers["ETag"]})
    assert (part.status_code, part.get_data()) == (206, content[3000000:3000010])
    assert live.api.get(url, headers={"Range": "bytes=9999999-"}).status_code == 416


def test_a_zip_holds_what_is_not_saved_yet(live: LiveSession) -> None:
    (live.workspace / "folder").mkdir()
    (live.workspace / "folder" / "new.txt").write_text("new")
    live.conn.execute("UPDATE session_workers SET dirty_since = now() WHERE session_id = %s", (live.id,))
    got = live.get("zip", path="folder")
    assert (got.status_code, got.headers["Runyard-State"]) == (200, "saved"), got.get_data(as_text=True)
    with zipfile.ZipFile(io.BytesIO(got.get_data())) as archive:
        assert archive.read("folder/new.txt") == b"new"


def test_the_snapshot_takes_over_when_the_worker_goes(live: LiveSession) -> None:
    live.wait_until_saved()
    (live.workspace / "unsaved.txt").write_text("only here")
    live.kill_executor()
    page = live.read("tree")
    # Neither answer says why it is not live once the job worker has seen it, too: then there is no worker to speak of.
    why = page.get("notLive", {"code": "worker_gone"})
    assert (page["state"], why["code"]) == ("saved", "worker_gone")
    assert "hello.txt" in [item["name"] for item in page["items"]]
    got = live.get("download", path="hello.txt")
    assert (got.status_code, got.get_data()) == (200, b"hello\n")
    assert got.headers["Runyard-State"] == "saved"
    assert got.headers.get("Runyard-Not-Live", "worker_gone") == "worker_gone"
    assert live.get("tree", at="live").status_code == 409


@pytest.mark.parametrize("path", ["../hello.txt", "deep/../../x", "/etc/passwd", ".runyard-restore/x", "a" * 5000])
def test_paths_that_lead_outside_are_refused(live: LiveSession, path: str) -> None:
    for verb in ("tree", "content", "download"):
        assert live.get(verb, path=path).status_code in (404, 422)


def test_links_and_special_files_are_never_opened(live: LiveSession) -> None:
    (live.workspace / "out").symlink_to("/etc")
    (live.workspace / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(live.workspace / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(live.workspace):  # the whole path is longer than a socket's may be
        listening.bind("socket")
    refused = [live.get("content", path=path) for path in ("out/passwd", "passwd", "pipe", "socket", "")]
    assert [answer.status_code for answer in refused] == [404, 422, 422, 422, 422]
    assert live.get("tree", path="out").status_code == 404
    assert b"root:" not in b"".join(answer.get_data() for answer in refused)
    listening.close()


def test_others_see_nothing_of_it(live: LiveSession, member: str) -> None:
    stranger = type(live.api)(live.api.client, member)
    for verb in ("tree", "content", "download", "search", "zip"):
        url = f"/api/files/{verb}?sessionId={live.id}" + ("&q=hello" if verb == "search" else "&path=hello.txt")
        assert stranger.get(url).status_code == 404
        assert stranger.get(url.replace(str(live.id), str(uuid4()))).status_code == 404
    rows = live.api.get(f"/api/admin/audit?sessionId={live.id}&allowed=false").get_json()["items"]
    assert {row["action"] for row in rows} == {"tree", "content", "download", "search", "zip"}


def test_a_policy_holds_for_live_files_as_for_saved_ones(live: LiveSession) -> None:
    (live.workspace / "keys").mkdir()
    (live.workspace / "keys" / "private").write_text("secret")
    policy = {"effect": "deny", "pattern": "keys", "reason": "Keys are for operators."}
    assert live.api.post("/api/admin/file-policies", policy).status_code == 201
    page = live.read("tree")
    assert (page["state"], "keys" in [item["name"] for item in page["items"]]) == ("live", False)
    assert live.read("search", q="private")["items"] == []
    for verb in ("content", "download"):
        assert live.get(verb, path="keys/private").status_code == 403
    snapshot = str(uuid4())
    body = {"sessionId": str(live.id), "snapshot": snapshot, "path": "keys/private"}
    assert live.api.post("/api/files/restore", body).status_code == 403


def test_live_contents_are_not_kept_in_the_database(live: LiveSession) -> None:
    assert live.read("content", path="hello.txt")["text"]
    assert live.names() == ["hello.txt"]
    assert live.conn.execute("SELECT FROM operations WHERE kind = 'read_live_files'").fetchall() == []


def test_only_live_files_are_refused_for_a_zip_without_a_worker(live: LiveSession) -> None:
    live.wait_until_saved()
    assert live.get("zip", path="", at="live").status_code == 200
    assert live.api.delete(f"/api/session-workers/{live.id}").status_code == 200
    refused = live.get("zip", path="", at="live")
    assert (refused.status_code, answer_json(refused)["code"]) == (409, "not_live")


@pytest.mark.parametrize("name", ["\0", "\ud800"])
def test_a_cursor_that_no_listing_gave_is_refused(live: LiveSession, name: str) -> None:
    refused = live.get("tree", cursor=urlsafe_b64encode(json.dumps([True, name]).encode()).decode())
    assert (refused.status_code, answer_json(refused)["code"]) == (422, "bad_cursor")
