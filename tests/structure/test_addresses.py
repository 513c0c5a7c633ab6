"""Where packages come from is each machine's own setting: no file of ours names a registry or a download address."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.structure.repository import ROOT, text_files, tracked_files

ADDRESS = re.compile(r"https?://|git\+|file:", re.IGNORECASE)
OPTION = re.compile(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", re.MULTILINE)
REGISTRY = re.compile(
    r"https?://[^\s\"')]*("
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|npmmirror|artifactory|nexus|devpi|verdaccio"
    r"|simple/?[\"'\s)]|proxy\.golang|deb\.debian\.org|ghcr\.io|docker\.io)",
    re.IGNORECASE,
)
LOCK_NAMES = {"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "uv.lock", "poetry.lock"}
REQUIREMENTS = sorted(
    path for path in tracked_files() if path.match("requirements*.txt") or path.match("requirements*.in")
)
LOCKS = sorted(path for path in tracked_files() if path.name in LOCK_NAMES)
NPM_SETTINGS = {".npmrc", ".yarnrc", "pip.conf", "uv.toml"}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=str)
def test_requirements_name_packages_only(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert not ADDRESS.search(text)
    assert not OPTION.search(text)


@pytest.mark.parametrize("path", LOCKS, ids=str)
def test_lock_files_hold_no_download_address(path: Path) -> None:
    assert path.name.endswith(".json"), "only npm's format is known to this test"
    lock = json.loads((ROOT / path).read_text())
    assert [
        name for name, package in lock["packages"].items() if "resolved" in package and not package.get("link")
    ] == []


@pytest.mark.parametrize("path", LOCKS, ids=str)
def test_lock_files_hold_the_digest_of_every_package(path: Path) -> None:
    packages = json.loads((ROOT / path).read_text())["packages"]
    without = [name for name, package in packages.items() if name and "integrity" not in package]
    assert [name for name in without if is_for_linux(packages[name])] == []


def is_for_linux(package: dict[str, object]) -> bool:
    """False for an optional package of a platform whose digest was not to be had where the lock was made."""
    runs_on = {"os": "linux", "cpu": "x64", "libc": "glibc"}
    return all(ours in package.get(kind, [ours]) for kind, ours in runs_on.items())  # type: ignore[operator]


def test_no_file_sets_where_packages_come_from() -> None:
    assert [str(path) for path in tracked_files() if path.name in NPM_SETTINGS] == []


def test_no_file_names_a_registry() -> None:
    this = Path(__file__).relative_to(ROOT)
    assert [str(path) for path, text in text_files() if path != this and REGISTRY.search(text)] == []
