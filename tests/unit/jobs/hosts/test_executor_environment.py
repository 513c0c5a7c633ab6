"""What an executor is given of our environment: a short list, and what the providers file names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.hosts import HostFailed
from jobs.hosts.environment import container_inputs, executor_environment

PROVIDERS = """
[providers.one]
command = "one"
[providers.one.environment]
MODEL_KEY = { from_env = "OUR_MODEL_KEY" }
STOLEN = { from_env = "DATABASE_URL" }
OTHER = { from_env = "RUNYARD_SECRET_KEY" }
"""


def given(tmp_path: Path, text: str, **environ: str) -> dict[str, str]:
    file = tmp_path / "providers.toml"
    file.write_text(text)
    return executor_environment(environ, providers_file=file, agents_dir=tmp_path)


def test_only_harmless_names_and_those_that_the_file_takes_come_along(tmp_path: Path) -> None:
    found = given(tmp_path, PROVIDERS, PATH="/bin", LC_ALL="C", OUR_MODEL_KEY="k", PRIVATE="p")
    assert found == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "OUR_MODEL_KEY": "k",
        "PROVIDERS_FILE": str(tmp_path / "providers.toml"),
        "AGENTS_DIR": str(tmp_path),
    }


def test_our_own_secrets_never_do_whatever_the_file_names(tmp_path: Path) -> None:
    found = given(tmp_path, PROVIDERS, DATABASE_URL="d", RUNYARD_SECRET_KEY="s", PGPASSWORD="p")
    assert found.keys() == {"PROVIDERS_FILE", "AGENTS_DIR"}


def test_a_file_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    assert given(tmp_path, "not = [toml", OUR_MODEL_KEY="k").keys() == {"PROVIDERS_FILE", "AGENTS_DIR"}


def test_a_container_is_given_the_file_and_all_that_it_names_and_nothing_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file")
    (tmp_path / "login.json").write_text("{}")
    file = tmp_path / "providers.toml"
    file.write_text(
        PROVIDERS
        + """
[[providers.one.files]]
path = ".login.json"
source = "login.json"
[providers.two]
command = "two"
[providers.two.environment]
FILED = { secret_file = "key" }
LOST = { secret_file = "/no/such/file" }
"""
    )
    environ = {"PATH": "/bin", "HOME": "/root", "OUR_MODEL_KEY": "k", "DATABASE_URL": "d", "HTTPS_PROXY": "p"}
    given = container_inputs(environ, providers_file=file)
    assert given.settings.keys() == {"OUR_MODEL_KEY", "HTTPS_PROXY", "PROVIDERS_FILE"}
    tables = json.loads(given.files[given.settings["PROVIDERS_FILE"]])["providers"]
    assert given.files[tables["one"]["files"][0]["source"]] == b"{}"
    assert given.files[tables["two"]["environment"]["FILED"]["secret_file"]] == b"from a file"
    assert tables["two"]["environment"]["LOST"]["secret_file"] == "/no/such/file"


def test_without_its_providers_file_no_container_is_started(tmp_path: Path) -> None:
    with pytest.raises(HostFailed, match="providers file"):
        container_inputs({}, providers_file=tmp_path / "none.toml")
