"""`python -m cli file-policies` and `audit` against a server, as a person and as a script."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from cli.__main__ import main
from tests.integration.functions.conftest import Served, provided, serve, served

__all__ = ["provided", "serve", "served"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Its exit status, what it printed, and what it complained about."""
    monkeypatch.setenv("RUNYARD_URL", served.url)
    monkeypatch.setenv("RUNYARD_TOKEN", served.token)

    def run_command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_command


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
    assert "content  refused (unknown_session)" in lines[2]
    assert lines[2].endswith(":one")
    _, exported, _ = run("audit", "--session", session_id, "--format", "jsonl", "--path", "ONE")
    assert [json.loads(line)["path"] for line in exported.splitlines()] == ["one"]
    _, exported, _ = run("audit", "--session", session_id, "--format", "csv", "--limit", "2")
    rows = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert [row["path"] for row in rows][1:] == ["'=two"]
    assert run("audit", "--session", session_id, "--allowed", "true")[1] == ""
    status, _, complaint = run("audit", "--action", "nothing")
    assert status == 1
    assert complaint
