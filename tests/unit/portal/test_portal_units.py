"""The portal's own unit tests, types, lint and size budget pass, where its packages can be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure.repository import ROOT

PORTAL = ROOT / "portal"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@pytest.fixture(scope="module")
def npm() -> str:
    """Where npm is, with the portal built: its packages are there then."""
    npm = shutil.which("npm", path=PATH)
    if npm is None:
        pytest.skip("there is no Node.js here")
    built = subprocess.run(
        [sys.executable, "-m", "cli", "portal"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout
    return npm


@pytest.mark.parametrize("script", ["check", "lint", "test", "sizes"])
def test_the_portal_passes(npm: str, script: str) -> None:
    run = subprocess.run(
        [npm, "--prefix", str(PORTAL), "run", "--silent", script],
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
