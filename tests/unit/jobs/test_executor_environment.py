"""What an executor is given of our environment: a short list, and what the providers file names."""

from __future__ import annotations

from pathlib import Path

from jobs.hosts.environment import executor_environment

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
