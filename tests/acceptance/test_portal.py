"""A browser does in the portal what a user would do, against a whole stack: portal/tests/e2e, run by vitest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.acceptance.stack import Stack
from tests.structure.repository import ROOT
from tests.thoroughness import FULL

pytestmark = pytest.mark.stack
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
SECONDS = 1200


@pytest.fixture(scope="module")
def tools() -> tuple[str, str]:
    """Where npm and Chromium are, with the portal built."""
    npm, chromium = shutil.which("npm", path=PATH), os.environ.get("CHROMIUM") or shutil.which("chromium")
    if npm is None or chromium is None:
        pytest.skip("there is no Node.js or no Chromium here")
    built = subprocess.run(
        [sys.executable, "-m", "cli", "portal"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout
    return npm, chromium


# Each language and each theme; every pair of them in full.
LOOKS = ["in en, light", "in zh, dark", *(["in en, dark", "in zh, light"] if FULL else [])]


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize(
    ("file", "only"),
    [
        ("answers", ""),
        ("files", ""),
        ("reading", ""),
        ("writing", ""),
        ("finding", ""),
        *(("pages", look) for look in LOOKS),
    ],
)
def test_a_browser_passes_each_scenario_of_the_portal(
    stack: Stack, tools: tuple[str, str], file: str, only: str
) -> None:
    npm, chromium = tools
    given = {**os.environ, "PATH": PATH, "CHROMIUM": chromium}
    told = {"RUNYARD_DATA_DIR": str(stack.data)}
    link = subprocess.run(
        [sys.executable, "-m", "cli", "sign-in"],
        cwd=ROOT,
        env={**given, **told},
        capture_output=True,
        text=True,
        check=True,
    )
    names = {
        "RUNYARD_URL": stack.url,
        "RUNYARD_TOKEN": stack.token,
        "RUNYARD_READER_TOKEN": _token_of_another({**given, **told}),
        "RUNYARD_SIGN_IN": link.stdout.strip(),
        **told,
    }
    run = subprocess.run(
        [npm, "--prefix", str(ROOT / "portal"), "run", "--silent", "e2e", "--", f"tests/e2e/{file}.e2e.ts", "-t", only],
        env={**given, **names},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def _token_of_another(environment: dict[str, str]) -> str:
    """A new token of a second admin, who may read every session."""
    cli = [sys.executable, "-m", "cli", "users"]
    subprocess.run([*cli, "add", "li", "--role", "admin"], cwd=ROOT, env=environment, capture_output=True, check=False)
    issue = [*cli, "token", "li", "--label", uuid4().hex, "--json"]
    issued = subprocess.run(issue, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return str(json.loads(issued.stdout)[0]["token"])
