"""Git, told by its environment, starts no program of a repository or a home, and still does its work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.agents.failures import TurnFailed
from executor.agents.trust import git_settings
from executor.agents.trust.git_settings import MOST_SETTINGS, harmless_git
from executor.process.account import EXECUTOR_ACCOUNT

Git = Callable[..., str]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1", **names}


@pytest.fixture
def repository(tmp_path: Path, environment: dict[str, str]) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (tmp_path / "home").mkdir()
    for arguments in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture
def git(repository: Path, environment: dict[str, str]) -> Git:
    """Run git in the repository, with variables beside its environment."""

    def run(*arguments: str, told: dict[str, str] | None = None) -> str:
        whole = {**environment, **(told or {})}
        done = subprocess.run(
            ["git", *arguments], cwd=repository, env=whole, capture_output=True, text=True, check=True
        )
        return done.stdout

    return run


def set_traps(git: Git, mark: Path) -> None:
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "diff.external",
        "diff.spy.textconv",
        "diff.Spy.command",
        "filter.spy.clean",
        "filter.spy.smudge",
        "merge.spy.driver",
        "credential.helper",
        "core.editor",
        "gpg.program",
    ):
        git("config", key, f"touch {mark}; cat")
    git("config", "filter.spy.required", "true")
    git("config", "alias.look", f"!touch {mark}")


def work(git: Git, repository: Path, told: dict[str, str]) -> str:
    """Do what agents do by themselves, and what people have them do."""
    (repository / ".gitattributes").write_text("*.txt filter=spy diff=spy merge=spy\n*.md diff=Spy\n")
    (repository / "a.txt").write_text("one\n")
    (repository / "b.md").write_text("one\n")
    git("add", ".", told=told)
    git("commit", "-q", "-m", "second", told=told)
    (repository / "a.txt").write_text("two\n")
    (repository / "b.md").write_text("two\n")
    git("status", told=told)
    return git("diff", told=told)


def test_no_program_of_a_repository_runs(git: Git, repository: Path, environment: dict[str, str]) -> None:
    mark = repository.parent / "mark"
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    set_traps(git, mark)

    found = harmless_git(repository, environment, EXECUTOR_ACCOUNT)
    shown = work(git, repository, dict(found.environment))

    assert not mark.exists()
    assert "-one\n+two" in shown
    assert {"core.fsmonitor", "diff.external", "diff.Spy.command", "filter.spy.clean", "alias.look"} <= set(
        found.ignored
    )


def test_hooks_that_do_not_run_are_named(git: Git, repository: Path, environment: dict[str, str]) -> None:
    hooks = repository / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name, mode in (("pre-commit", 0o755), ("commit-msg", 0o755), ("pre-push.sample", 0o755), ("readme", 0o644)):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(mode)
    (repository / "below").mkdir()

    found = harmless_git(repository / "below", environment, EXECUTOR_ACCOUNT)

    git("commit", "-q", "--allow-empty", "-m", "second", told=dict(found.environment))
    assert found.ignored == ("hook commit-msg", "hook pre-commit")


@pytest.mark.parametrize(
    ("helpers", "stay"),
    [(["store"], True), (["", "cache"], True), (["store --file=x"], False), (["!touch x", "store"], False)],
)
def test_gits_own_credential_helpers_stay(
    helpers: list[str], *, stay: bool, git: Git, repository: Path, environment: dict[str, str]
) -> None:
    for key in ("credential.helper", "credential.https://a.example.helper"):
        for helper in helpers:
            git("config", "--add", key, helper)

    found = harmless_git(repository, environment, EXECUTOR_ACCOUNT)

    assert (found.ignored == ()) is stay
    last = git("config", "credential.helper", told=dict(found.environment)).strip()
    assert last == (helpers[-1] if stay else "")


def test_a_login_that_git_keeps_itself_works(git: Git, repository: Path, environment: dict[str, str]) -> None:
    (Path(environment["HOME"]) / ".git-credentials").write_text("https://ann:word@a.example\n")
    git("config", "credential.helper", "store")

    found = harmless_git(repository, environment, EXECUTOR_ACCOUNT)
    told = subprocess.run(
        ["git", "credential", "fill"],
        cwd=repository,
        env={**environment, **found.environment, "GIT_TERMINAL_PROMPT": "0"},
        input="protocol=https\nhost=a.example\n\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert "password=word" in told.stdout.splitlines()


@pytest.mark.parametrize("uses_lfs", [True, False])
def test_a_repository_with_git_lfs_is_known(repository: Path, environment: dict[str, str], *, uses_lfs: bool) -> None:
    if uses_lfs:
        (repository / ".git/lfs/objects").mkdir(parents=True)

    assert harmless_git(repository, environment, EXECUTOR_ACCOUNT).has_lfs is uses_lfs


def test_the_traps_work_without_the_settings(git: Git, repository: Path) -> None:
    mark = repository.parent / "mark"
    set_traps(git, mark)

    git("status")

    assert mark.exists()


def test_settings_of_the_home_are_overruled_too(repository: Path, environment: dict[str, str], git: Git) -> None:
    mark = repository.parent / "mark"
    config = f"[user]\n name = Ann\n[diff]\n external = touch {mark}\n"
    (Path(environment["HOME"]) / ".gitconfig").write_text(config)

    found = harmless_git(repository, environment, EXECUTOR_ACCOUNT)
    work(git, repository, dict(found.environment))

    assert not mark.exists()
    assert found.ignored == ("diff.external",)
    assert git("config", "user.name", told=dict(found.environment)) == "Ann\n"


def test_git_lfs_and_plain_aliases_stay(repository: Path, environment: dict[str, str], git: Git) -> None:
    for key, value in (
        ("filter.lfs.clean", "git-lfs clean -- %f"),
        ("filter.lfs.process", "git-lfs filter-process"),
        ("filter.lfs.required", "true"),
        ("alias.st", "status --short"),
    ):
        git("config", key, value)

    found = harmless_git(repository, environment, EXECUTOR_ACCOUNT)

    assert found.ignored == ()
    assert git("config", "filter.lfs.clean", told=dict(found.environment)) == "git-lfs clean -- %f\n"
    assert git("st", told=dict(found.environment)) == ""


def test_too_many_programs_are_refused(repository: Path, environment: dict[str, str]) -> None:
    with (repository / ".git/config").open("a") as file:
        file.writelines(f'[filter "f{number}"]\n clean = cat\n' for number in range(MOST_SETTINGS + 1))

    with pytest.raises(TurnFailed) as failed:
        harmless_git(repository, environment, EXECUTOR_ACCOUNT)

    assert failed.value.finished().status == "blocked"
    assert ".git/config" in failed.value.message


def test_outside_of_a_repository_the_lasting_settings_hold(tmp_path: Path, environment: dict[str, str]) -> None:
    found = harmless_git(tmp_path / "nothing", environment, EXECUTOR_ACCOUNT)

    assert found.ignored == ()
    assert "core.hooksPath" in found.environment.values()


def test_a_file_that_keeps_git_waiting_blocks_the_run(
    repository: Path, environment: dict[str, str], git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("config", "include.path", str(repository / "pipe"))
    os.mkfifo(repository / "pipe")
    monkeypatch.setattr(git_settings, "LIST_SECONDS", 0.2)

    with pytest.raises(TurnFailed) as failed:
        harmless_git(repository, environment, EXECUTOR_ACCOUNT)

    assert failed.value.finished().status == "blocked"
    assert f"{repository} cannot be read: git did not end" in failed.value.message
    assert "trustWorkspace" in failed.value.message


def test_settings_without_an_end_block_the_run(
    repository: Path, environment: dict[str, str], git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("config", "user.name", "x" * 2000)
    monkeypatch.setattr(git_settings, "MOST_BYTES", 1000)

    with pytest.raises(TurnFailed) as failed:
        harmless_git(repository, environment, EXECUTOR_ACCOUNT)

    assert failed.value.finished().status == "blocked"
    assert "more than 1000 bytes" in failed.value.message


def test_a_git_that_cannot_start_blocks_the_run(repository: Path, environment: dict[str, str]) -> None:
    (repository / "git").write_text("no program")
    (repository / "git").chmod(0o755)

    with pytest.raises(TurnFailed) as failed:
        harmless_git(repository, {**environment, "PATH": str(repository)}, EXECUTOR_ACCOUNT)

    assert failed.value.finished().status == "blocked"
