"""What started a program shows the secrets that it was given, and is named."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from schema.agent_environment import secrets_named
from schema.shown_secrets import ShownSecret, sentence_of
from tests.structure.repository import ROOT

PROGRAM = """
from schema.shown_secrets import secrets_of_ancestors
for secret in secrets_of_ancestors(["SHOWN_KEY", "EMPTY_KEY", "OWN_KEY", "UNSET_KEY"]):
    print(secret.name, secret.program, secret.pid)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_ancestor_that_shows_a_secret_is_named_and_this_program_is_not() -> None:
    child = f"OWN_KEY=x {shlex.join([sys.executable, '-c', PROGRAM])}"

    done = subprocess.run(
        ["sh", "-c", f"echo $$; sh -c {shlex.quote(f'{child}; true')}; true"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SHOWN_KEY": "a-secret", "EMPTY_KEY": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    outermost, line = done.stdout.splitlines()
    name, program, pid = line.split()
    assert (name, program) == ("SHOWN_KEY", "sh")
    assert pid != outermost, "the nearest ancestor is named"


def test_the_sentence_names_variables_programs_and_no_value() -> None:
    assert sentence_of([ShownSecret("A_KEY", "make", 7), ShownSecret("B_KEY", "sh", 6)]) == (
        "Agents can read secrets in the environment of what started Runyard: "
        "A_KEY (make, process 7), B_KEY (sh, process 6)."
    )


def test_a_variable_that_the_providers_file_calls_no_secret_is_none(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(
        "[providers.a.environment]\n"
        'KEY = { from_env = "A_KEY" }\n'
        'REGION = { from_env = "REGION", secret = false }\n'
        'BOTH = { from_env = "BOTH", secret = false }\n'
        'BOTH_TOO = { from_env = "BOTH" }\n'
    )
    assert secrets_named(file) == {"A_KEY", "BOTH"}
    assert secrets_named(tmp_path / "none.toml") == set()
