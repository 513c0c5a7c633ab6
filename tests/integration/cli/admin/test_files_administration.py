"""`python -m cli file-policies` and `audit` against a server, as a person and as a script."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from uuid import uuid4

from cli.times import moment_of, moment_words
from tests.integration.cli.conftest import Run
from tests.integration.functions.conftest import Served


def test_policies_are_set_listed_and_deleted(run: Run) -> None:
    status, said, _ = run("file-policies", "set", "deny", "secrets/**", "--role", "member", "--reason", "Ask Ada.")
    assert status == 0
    assert "deny  secrets/**  role member  Ask Ada." in said
    assert run("file-policies", "set", "allow", "docs")[0] == 0
    _, listed, _ = run("file-policies", "list", "--json")
    policies = json.loads(listed)
    assert [(policy["effect"], policy["pattern"]) for policy in policies] == [
        ("allow", "docs"),
        ("deny", "secrets/**"),
    ]
    assert run("file-policies", "delete", policies[0]["policyId"]) == (0, "", "")
    assert len(run("file-policies", "list")[1].splitlines()) == 2
    status, _, complaint = run("file-policies", "delete", policies[0]["policyId"])
    assert (status, complaint) == (1, "There is no such file policy.\n")
    assert run("file-policies", "set", "deny", "a/../b")[0] == 1


def test_the_audit_is_shown_and_exported(run: Run, served: Served) -> None:
    session_id = str(uuid4())
    with served.client() as client:
        for path in ("one", "=two", "\x1b[31mthree"):
            client.get("/api/files/content", params={"sessionId": session_id, "path": path})
    status, said, _ = run("audit", "--session", session_id)
    lines = said.splitlines()
    assert (status, len(lines)) == (0, 3)
    assert "\x1b" not in said
    assert "content  refused: unknown session" in lines[2]
    assert lines[2].endswith(":one")
    _, exported, _ = run("audit", "--session", session_id, "--format", "jsonl", "--path", "ONE")
    assert [json.loads(line)["path"] for line in exported.splitlines()] == ["one"]
    _, exported, _ = run("audit", "--session", session_id, "--format", "csv", "--limit", "2")
    rows = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert [row["path"] for row in rows][1:] == ["'=two"]
    assert run("audit", "--session", session_id, "--allowed", "true")[1] == "No entries.\n"
    assert run("audit", "--session", session_id, "--allowed", "true", "--json")[1] == ""
    assert run("audit", "--action", "export", "--limit", "1")[1].endswith("  admin  export  allowed  no session\n")
    assert run("audit", "--from", "bad")[2] == "query.from: must be a date and time as in RFC 3339\n"
    status, _, complaint = run("audit", "--action", "nothing")
    assert status == 1
    assert complaint


def test_the_audit_tells_times_in_words_and_in_json_in_utc(run: Run, served: Served) -> None:
    session_id = str(uuid4())
    with served.client() as client:
        client.get("/api/files/content", params={"sessionId": session_id, "path": "one"})
    told = json.loads(run("audit", "--session", session_id, "--json")[1])["at"]
    assert told.endswith("Z")
    assert run("audit", "--session", session_id)[1].startswith(f"{moment_words(moment_of(told))}  admin  content")


def test_uploads_are_one_json_list_also_when_a_later_file_fails(run: Run, served: Served, tmp_path: Path) -> None:
    session_id = str(served.bind().session_id)
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    for file in (one, two):
        file.write_text(file.name)
    status, said, _ = run("files", "put", session_id, str(one), str(two), "--json")
    assert (status, [upload["path"].rpartition("/")[2] for upload in json.loads(said)]) == (0, [one.name, two.name])
    status, said, complaint = run("files", "put", session_id, str(one), str(tmp_path / "gone"), "--json")
    assert (status, [upload["path"].rpartition("/")[2] for upload in json.loads(said)]) == (1, [one.name])
    assert complaint == f"{tmp_path / 'gone'}: No such file or directory\n"
