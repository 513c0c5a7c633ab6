"""Secret settings come from variables or files, and a program's environment does not show them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schema.sealed_environment import CARRIED, BadSecretFile, sealed, secrets_from_files, unseal
from tests.structure.repository import ROOT

SHOWN = """
import os
from schema.sealed_environment import seal_or_exit

seal_or_exit(["KEY", "OTHER"])
with open("/proc/self/environ", "rb") as file:
    print("value-of-key" in file.read().decode(), os.environ.get("KEY"), os.environ.get("OTHER"), os.environ["KEPT"])
"""


def told(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "KEPT": "kept", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sealed_programs_environment_shows_no_secret_and_it_knows_them(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("value of other\n")

    done = told(SHOWN, KEY="value-of-key", OTHER_FILE=str(tmp_path / "other"))

    assert (done.stdout, done.stderr) == ("False value-of-key value of other kept\n", "")


def test_a_sealed_program_that_seals_again_goes_on(tmp_path: Path) -> None:
    """As on SIGHUP: the modules may be loaded anew, and the secrets stand in `os.environ` by now."""
    again = """
import sys

del sys.modules["schema.sealed_environment"]
from schema.sealed_environment import seal_or_exit
seal_or_exit(["KEY", "OTHER"])
"""
    started = tmp_path / "started"
    count = f"open({str(started)!r}, 'a').write('once ')\n"
    limit = f"import sys\nif open({str(started)!r}).read().count('once') > 2: sys.exit('began again')\n"

    done = told(count + limit + SHOWN + again + SHOWN, KEY="value-of-key")

    assert done.stderr == ""
    assert started.read_text() == "once once "  # at its start, and without the secret


def test_a_secret_given_twice_ends_the_program_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a")

    done = told(SHOWN, KEY="value-of-key", KEY_FILE=str(tmp_path / "key"))

    assert (done.returncode, done.stderr) == (2, "KEY and KEY_FILE are both set. Unset one of them.\n")


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_no_other_process_of_the_account_may_read_a_sealed_one() -> None:
    is_dumpable = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    sealing = 'from schema.sealed_environment import seal_or_exit; seal_or_exit(["KEY"]);'

    assert told(is_dumpable).stdout == "1\n"
    assert told(f"{sealing} {is_dumpable}", KEY="value-of-key").stdout == "0\n"
    assert told(f"{sealing} {is_dumpable}").stdout == "0\n"


def test_a_child_inherits_the_secrets_and_not_in_its_environment() -> None:
    environ = {"KEY": "value-of-key", "KEPT": "kept", "PYTHONPATH": str(ROOT)}

    with sealed(environ, ["KEY", "UNSET"]) as (rest, descriptor):
        done = subprocess.run(
            [sys.executable, "-c", SHOWN], cwd=ROOT, env=rest, pass_fds=[descriptor], capture_output=True, check=True
        )

    assert rest == {"KEPT": "kept", "PYTHONPATH": str(ROOT), CARRIED: str(descriptor)}
    assert done.stdout == b"False value-of-key None kept\n"


def test_a_descriptor_that_is_none_of_ours_is_refused() -> None:
    done = told(SHOWN, **{CARRIED: "987"})

    assert (done.returncode, done.stderr) == (
        2,
        f"{CARRIED} names no inherited file. Unset it: Runyard's programs set it.\n",
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "KEY_FILE names a file that cannot be read: {path}."),
        (" \n", "KEY_FILE names a file that is empty or too large: {path}."),
        ("x" * 70_000, "KEY_FILE names a file that is empty or too large: {path}."),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)

    with pytest.raises(BadSecretFile) as caught:
        secrets_from_files({"KEY_FILE": str(path)}, ["KEY"])

    assert caught.value.detail == sentence.format(path=path)


def test_an_empty_file_of_the_key_before_means_that_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "previous"
    path.write_text("\n")
    name = "RUNYARD_SECRET_KEY_PREVIOUS"

    assert secrets_from_files({f"{name}_FILE": str(path), name: ""}, [name]) == {name: ""}


def test_a_program_that_is_replaced_hands_its_secrets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "value-of-key")
    environ = {CARRIED: "3", "KEY_FILE": "/run/secrets/key", "OTHER_FILE": "/run/secrets/other"}

    unseal(environ, ["KEY", "OTHER"])

    assert environ == {"KEY": "value-of-key", "OTHER_FILE": "/run/secrets/other"}


def test_a_program_that_is_replaced_hands_on_all_that_it_inherited_in_a_file() -> None:
    handing_on = SHOWN + 'from schema.sealed_environment import unseal\nnew = {}\nunseal(new, ["OTHER"])\nprint(new)\n'
    with sealed({"KEY": "value-of-key", "PLAIN": "plain"}, ["KEY", "PLAIN"]) as (rest, descriptor):
        done = subprocess.run(
            [sys.executable, "-c", handing_on],
            cwd=ROOT,
            env={**rest, "KEPT": "kept", "PYTHONPATH": str(ROOT), "OTHER": "other"},
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            check=True,
        )

    handed_on = ast.literal_eval(done.stdout.splitlines()[-1])
    assert handed_on == {"KEY": "value-of-key", "PLAIN": "plain", "OTHER": "other"}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["executor", "providers", "--json"], "EXECUTOR_AUTH_TOKEN"), (["jobs", "check-settings"], "DATABASE_URL")],
)
def test_a_program_seals_itself_before_slow_imports(arguments: list[str], name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PROVIDERS_FILE": str(tmp_path / "none.toml"), name: "a-secret"},
        capture_output=True,
        text=True,
        check=False,
    )

    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert imported.count("schema.sealed_environment") == 2, "the program begins again without its secret"
    assert imported.count("pydantic") == 1
