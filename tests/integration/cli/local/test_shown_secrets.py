"""`make up` and the doctor name the secrets that what started them shows, where agents share the account."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tests.structure.repository import ROOT

UP = """
from cli.local.up import warn_of_shown_secrets
warn_of_shown_secrets({"WORKER_HOST": %r})
"""
DOCTOR = """
from pathlib import Path
from types import SimpleNamespace
from jobs.doctor.deployment import check_shown_secrets
from jobs.doctor.report import as_lines
settings = SimpleNamespace(worker_host=%r, providers_file=Path("providers.toml"))
print(as_lines(check_shown_secrets(settings)), end="")
"""


def said_below_a_shell(program: str) -> str:
    """What a program prints whose parent, a shell, was given a secret and keeps it."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["sh", "-c", f"{shlex.join([sys.executable, '-c', program])}; true"],
        cwd=ROOT,
        env={**environ, "PYTHONPATH": str(ROOT), "ANTHROPIC_API_KEY": "a-secret-value"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("program", [UP, DOCTOR])
def test_a_secret_that_a_parent_shows_is_named_without_its_value(program: str) -> None:
    said = said_below_a_shell(program % "process")
    assert "Agents can read secrets in the environment of what started Runyard: ANTHROPIC_API_KEY (sh, process " in said
    assert "Run session workers in containers" in said
    assert "a-secret-value" not in said


@pytest.mark.parametrize("program", [UP, DOCTOR])
def test_workers_in_containers_cannot_read_it(program: str) -> None:
    assert said_below_a_shell(program % "docker") == ""
