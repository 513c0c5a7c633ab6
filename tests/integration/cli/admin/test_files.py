"""`python -m cli files` and `chat --attach` against a whole Runyard: put, list, get, compare and put back."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.chat.client import Api, read_token
from cli.local.data_dir import DataDir
from tests.integration.cli.stack import Stack
from tests.integration.jobs.waiting import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(DataDir(tmp_path_factory.mktemp("files") / "data"))
    stack.wait_until_ready()
    yield stack
    stack.stop()
    shutil.rmtree(stack.data_dir.sockets, ignore_errors=True)


def files(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "files", *arguments],
        env=stack.environ, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def said(stack: Stack, *arguments: str) -> str:
    done = files(stack, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_ids(api: Api, session: str) -> list[str]:
    """The session's runs, the newest first, once all of them are saved."""
    wait_until(
        lambda: bool(api.send("GET", f"/api/sessions/{session}")["saved"]["isSaved"]), lambda: session, seconds=60
    )
    return [run["runId"] for run in api.send("GET", f"/api/sessions/{session}/runs")["items"]]


def test_files_from_a_terminal(stack: Stack, tmp_path: Path) -> None:
    api = Api(stack.url, read_token(stack.data_dir.token))
    notes = tmp_path / "my notes.txt"
    notes.write_text("attached words\n")
    first = stack.chat("--provider", "demo", "--mode", "auto", "--attach", str(notes), "write a.txt: one")
    assert first.returncode == 0, first.stdout
    session = str(api.send("GET", "/api/sessions")["items"][0]["sessionId"])
    one = run_ids(api, session)[0]
    second = stack.chat("--session", session, "--provider", "demo", "--mode", "auto", "write a.txt: two")
    assert second.returncode == 0, second.stdout
    two = run_ids(api, session)[0]

    assert re.search(r"^folder .*uploads$", said(stack, "list", session), re.MULTILINE)
    assert "a.txt" in said(stack, "list", session, "--saved")
    put = said(stack, "put", session, str(notes))
    assert re.fullmatch(r"uploads/[0-9a-f]{8}/my notes\.txt\n", put)
    assert said(stack, "get", session, put.strip(), "-o", "-") == "attached words\n"
    assert re.search(r"^M +\+1 -1 +a\.txt$", said(stack, "diff", session, one, two), re.MULTILINE)
    patch = said(stack, "diff", session, one, two, "a.txt")
    assert ("-one\n" in patch, "+two\n" in patch) == (True, True)

    restored = files(stack, "restore", session, "a.txt", "--run", one)
    assert (restored.returncode, restored.stdout) == (0, "1 written, 0 removed, 4 bytes\n"), restored.stderr
    assert said(stack, "get", session, "a.txt", "-o", "-") == "one\n"
    undo = restored.stderr.split("python -m cli files ")[1].split()
    said(stack, *undo)
    assert said(stack, "get", session, "a.txt", "-o", "-") == "two\n"
    missing = files(stack, "restore", session, "nowhere", "--run", one)
    assert (missing.returncode, missing.stderr) == (1, "The older state has no such path.\n")
