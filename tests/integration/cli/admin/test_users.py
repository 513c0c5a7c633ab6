"""The operator's commands on a real database: what they write, what they refuse, and how they say it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.__main__ import main
from cli.times import moment_words
from handlers.access import tokens
from schema.errors import Unauthenticated

Run = Callable[..., tuple[int, str, str]]
LONG_AGO = datetime(2020, 6, 15, 12, tzinfo=UTC)


@pytest.fixture
def run(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DATABASE_URL", database)

    def run_command(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_command


def read(run: Run, *arguments: str) -> list[dict[str, Any]]:
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


@pytest.mark.both_postgres
def test_added_user_is_listed(run: Run) -> None:
    read(run, "users", "add", "ada", "--role", "operator")
    assert {row["name"]: row["role"] for row in read(run, "users", "list")} == {"admin": "admin", "ada": "operator"}


def test_times_are_written_as_on_the_wire(run: Run) -> None:
    (admin,) = read(run, "users", "list")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", admin["createdAt"])


def test_times_in_tables_are_words_in_this_machines_zone(run: Run, conn: psycopg.Connection) -> None:
    run("users", "add", "ada")
    run("users", "token", "ada", "--label", "old")
    conn.execute("UPDATE users SET disabled_at = %s WHERE name = 'ada'", [LONG_AGO])
    conn.execute("UPDATE access_tokens SET revoked_at = %s WHERE label = 'old'", [LONG_AGO])
    conn.execute("UPDATE apps SET created_at = %s", [LONG_AGO])
    words = moment_words(LONG_AGO)
    (line,) = [line for line in run("users", "list")[1].splitlines() if line.startswith("ada")]
    assert line.split(maxsplit=2)[2] == words
    assert run("users", "tokens", "ada")[1].rstrip().endswith(words)
    assert f"created: {words}\n" in run("apps", "show", "default")[1]
    assert read(run, "users", "tokens", "ada")[0]["revokedAt"] == "2020-06-15T12:00:00Z"


def test_token_signs_its_user_in_until_the_user_is_disabled(run: Run, conn: psycopg.Connection) -> None:
    run("users", "add", "ada")
    (issued,) = read(run, "users", "token", "ada", "--label", "laptop")
    assert tokens.authenticate(conn, issued["token"]).name == "ada"
    (disabled,) = read(run, "users", "disable", "ada")
    assert disabled["disabledAt"]
    with pytest.raises(Unauthenticated):
        tokens.authenticate(conn, issued["token"])


def test_an_enabled_user_is_let_in_by_the_tokens_from_before(run: Run, conn: psycopg.Connection) -> None:
    run("users", "add", "ada")
    (issued,) = read(run, "users", "token", "ada")
    run("users", "disable", "ada")
    (enabled,) = read(run, "users", "enable", "ada")
    assert enabled["disabledAt"] is None
    assert tokens.authenticate(conn, issued["token"]).name == "ada"
    assert run("users", "enable", "nobody") == (1, "", "There is no user named nobody.\n")


def test_a_revoked_token_lets_nobody_in_and_the_others_do(run: Run, conn: psycopg.Connection) -> None:
    run("users", "add", "ada")
    lost, kept = (read(run, "users", "token", "ada", "--label", label)[0]["token"] for label in ("lost", "kept"))
    assert run("users", "revoke", "ada", "lst") == (1, "", "ada has no token with the label lst.\n")
    (revoked,) = read(run, "users", "revoke", "ada", "lost")
    known = {row["label"]: row["revokedAt"] for row in read(run, "users", "tokens", "ada")}
    assert known == {"lost": revoked["revokedAt"], "kept": None}
    with pytest.raises(Unauthenticated):
        tokens.authenticate(conn, lost)
    assert tokens.authenticate(conn, kept).name == "ada"
    run("users", "disable", "ada")
    run("users", "enable", "ada")
    with pytest.raises(Unauthenticated):
        tokens.authenticate(conn, lost)


def test_taken_name_is_refused_with_a_sentence(run: Run) -> None:
    assert run("users", "add", "admin") == (1, "", "There is a user named admin already.\n")


def test_columns_are_named_in_words(run: Run) -> None:
    assert run("users", "list")[1].splitlines()[0].split() == ["NAME", "ROLE", "DISABLED"]
    run("users", "token", "admin")
    assert "LAST USED" in run("users", "tokens", "admin")[1].splitlines()[0]


def test_a_file_that_is_not_there_is_one_sentence(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("apps", "add", "x", "--provider", "demo", "--limits", "/nothing/here")
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("argument --limits: /nothing/here: No such file or directory\n")


def test_unknown_user_is_said(run: Run) -> None:
    assert run("users", "token", "nobody") == (1, "", "There is no user named nobody.\n")


def test_changed_app_counts_its_version_up_and_keeps_the_rest(run: Run) -> None:
    read(run, "apps", "add", "review", "--provider", "codex", "--options", '{"mode": "ask"}')
    (changed,) = read(run, "apps", "set", "review", "--provider", "claude-code")
    assert (changed["version"], changed["provider"], changed["options"]) == (2, "claude-code", {"mode": "ask"})


def test_misspelt_option_is_refused_before_anything_is_written(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("apps", "add", "review", "--provider", "codex", "--options", '{"modle": "x"}')
    assert ended.value.code == 2
    assert "modle" in capsys.readouterr().err
    assert [row["name"] for row in read(run, "apps", "list")] == ["default"]


def test_an_app_has_servers_instructions_and_trust(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    server = {"command": "helper", "env": {"KEY": {"secret": "helper-key"}}}
    options = {"mcpServers": {"helper": server}, "instructions": "Be brief.", "trustWorkspace": True}
    (changed,) = read(run, "apps", "set", "default", "--options", json.dumps(options))
    assert changed["options"] == options
    with pytest.raises(SystemExit):
        run("apps", "set", "default", "--options", '{"mcpServers": {"helper": {}}}')
    assert "needs exactly one of command, url" in capsys.readouterr().err


def test_an_app_has_a_manifest_and_limits(run: Run, tmp_path: Path) -> None:
    manifest, limits = tmp_path / "manifest.json", tmp_path / "limits.json"
    manifest.write_text('{"seedFiles": [{"path": "/workspace/./README.md", "content": "Hello"}]}')
    limits.write_text('{"cpus": 1.5, "idleStopSeconds": 600}')
    run("apps", "add", "review", "--provider", "codex", "--manifest", str(manifest))
    (changed,) = read(run, "apps", "set", "review", "--limits", str(limits))
    assert (changed["version"], changed["limits"]) == (2, {"cpus": 1.5, "idleStopSeconds": 600})
    (shown,) = read(run, "apps", "show", "review")
    assert shown["manifest"] == {"seedFiles": [{"root": "workspace", "path": "README.md", "content": "Hello"}]}
    _, out, _ = run("apps", "show", "review")
    assert '"content": "Hello"' in out
    assert "Hello" not in run("apps", "list")[1]


def test_an_app_says_what_happens_when_nobody_answers(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (changed,) = read(run, "apps", "set", "default", "--human-loop", '{"onExpiry": "deny", "expirySeconds": 60}')
    assert changed["humanLoop"] == {"onExpiry": "deny", "expirySeconds": 60}
    with pytest.raises(SystemExit):
        run("apps", "set", "default", "--human-loop", '{"onExpiry": "shrug"}')
    assert "onExpiry" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--manifest", '{"requiredPaths": ["/etc/passwd"]}', "not below /workspace or /agent"),
        ("--manifest", '{"seedFile": []}', "seedFile"),
        ("--manifest", '{"seedFiles": [{"path": "/workspace/a"}]}', "either content or contentBase64"),
        ("--limits", '{"memoryBytes": 1}', "memoryBytes"),
    ],
)
def test_a_manifest_or_limits_that_cannot_be_are_refused(
    run: Run, tmp_path: Path, option: str, text: str, said: str
) -> None:
    file = tmp_path / "given.json"
    file.write_text(text)
    status, out, err = run("apps", "set", "default", option, str(file))
    assert (status, out) == (1, "")
    assert said in err
    assert read(run, "apps", "show", "default")[0]["version"] == 1


def test_a_file_that_is_no_json_is_said(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.json").write_text("[]")
    for name, said in (
        (str(tmp_path / "bad.json"), "a JSON object"),
        (str(tmp_path / "gone"), "No such file"),
    ):
        with pytest.raises(SystemExit):
            run("apps", "set", "default", "--manifest", name)
        assert said in capsys.readouterr().err


def test_table_shows_names_as_they_are(run: Run) -> None:
    run("users", "add", "[red]ada[/red]")
    _, out, _ = run("users", "list")
    assert "[red]ada[/red]" in out


def test_token_is_shown_whole_however_narrow_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    _, out, _ = run("users", "token", "admin", "--label", "a label of some length for a narrow terminal")
    assert any(word.startswith("ry_") and len(word) > 40 for word in out.split())


def test_embedded_database_that_does_not_run_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("RUNYARD_DATA_DIR", str(tmp_path))
    assert main(["users", "list"]) == 1
    assert "Start it with make up" in capsys.readouterr().err
