"""Switch off the programs that git starts by a repository's or the home's settings.

An agent starts git by itself, to describe the workspace to its model. Git takes the settings of its environment last,
so they overrule every file. They hold for all git commands of the agent, because its own cannot be told apart.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.process.account import AgentAccount

MOST_SETTINGS = 500
"""Settings that start programs. A repository with more of them is refused."""
LIST_SECONDS = 10.0
MOST_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024

ALWAYS = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "protocol.ext.allow": "never",
}
"""They hold in repositories too that appear later."""

PLAIN_DIFF = 'f() { git diff --no-ext-diff --no-textconv --no-index -- "$2" "$5" || true; }; f'
NO_ALIAS = "!echo 'Runyard has switched off this alias: it starts a program.' >&2; false"

HARMLESS: tuple[tuple[str, str], ...] = (
    (r"core\.sshcommand", "ssh"),
    (r"core\.(editor|askpass)|sequence\.editor", "false"),
    (r"core\.pager|pager\..+|interactive\.difffilter", "cat"),
    (r"core\.gitproxy", "none"),
    (r"core\.alternaterefscommand|hook\..+\.command|trailer\..+\.(cmd|command)", "true"),
    (r"diff\.external|diff\..+\.command", PLAIN_DIFF),
    (r"diff\..+\.textconv|tar\..+\.command", "cat"),
    (r"filter\..+\.(clean|smudge|process)|credential\.(.+\.)?helper|init\.templatedir", ""),
    (r"filter\..+\.required", "false"),
    (r"merge\..+\.driver", "git merge-file %A %O %B"),
    (r"(mergetool|difftool|browser|man|guitool)\..+\.(cmd|path)", "false"),
    (r"gpg\.(.+\.)?program|gpg\.ssh\.defaultkeycommand", "false"),
    (r"remote\..+\.uploadpack", "git-upload-pack"),
    (r"remote\..+\.receivepack", "git-receive-pack"),
    (r"uploadpack\.packobjectshook", "env"),
    (r"(web|help|instaweb)\.browser|instaweb\.httpd|imap\.tunnel", "false"),
    (r"sendemail\.(.+\.)?(smtpserver|tocmd|cccmd|headercmd|sendmailcmd)", "false"),
    (r"lfs\.customtransfer\..+\.path|lfs\.extension\..+\.(clean|smudge)", "false"),
)
"""A pattern of a setting that names a program, and a value that does the plain thing, or nothing."""

SHELL_ONLY: tuple[tuple[str, str], ...] = ((r"alias\..+", NO_ALIAS), (r"submodule\..+\.update", "checkout"))
"""They start a program of their own only with a `!` before their value."""

LFS = {
    "filter.lfs.clean": ("git-lfs clean -- %f",),
    "filter.lfs.smudge": ("git-lfs smudge -- %f", "git-lfs smudge --skip -- %f"),
    "filter.lfs.process": ("git-lfs filter-process", "git-lfs filter-process --skip"),
    "filter.lfs.required": ("true",),
}
"""Git LFS as it installs itself. Without it large files would be committed whole."""
CREDENTIALS = re.compile(r"credential\.(.+\.)?helper", re.DOTALL)
OWN_HELPERS = ("", "cache", "store")
"""Helpers that are programs of git itself, and the value that forgets earlier ones."""
OF_FILES = ("local", "worktree", "global")
"""The scopes that an agent or a repository can write."""


@dataclass(frozen=True)
class GitSettings:
    """Settings for the environment. `ignored` names those of files that they overrule, and the repository's hooks.

    `has_lfs`: the repository holds files of Git LFS, whose hook would send them with a push.
    """

    environment: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    has_lfs: bool = False


def harmless_git(cwd: Path, environment: Mapping[str, str], account: AgentAccount) -> GitSettings:
    """Read git's settings for the working folder. Raises TurnFailed `workspace_untrusted` for too many of
    them, and when git cannot list them. It may wait for a slow disk: call it in a thread."""
    found = {key: value for key, value in _settings(cwd, environment, account) if not _is_of_git(key, value)}
    overruled = {key: harmless for key, value in found.items() if (harmless := _harmless(key, value)) is not None}
    if len(overruled) > MOST_SETTINGS:
        raise TurnFailed(
            "workspace_untrusted",
            f".git/config has {len(overruled)} settings that start programs; at most {MOST_SETTINGS} can be ignored. "
            "Remove them, or let an operator set trustWorkspace for the app.",
        )
    own = {key: value for key, value in ALWAYS.items() if key.lower() in found and found[key.lower()] != value}
    folder = _repository(cwd, environment, account)
    with account.acting():
        hooks = _hooks(folder) if folder and "core.hookspath" not in found else []
        has_lfs = folder is not None and (folder / "lfs").is_dir()
    return GitSettings(_as_variables({**overruled, **ALWAYS}), (*sorted({*overruled, *own}), *hooks), has_lfs)


def _harmless(key: str, value: str) -> str | None:
    rules = HARMLESS + (SHELL_ONLY if value.lstrip().startswith("!") else ())
    return next((harmless for pattern, harmless in rules if re.fullmatch(pattern, key, re.DOTALL)), None)


def _is_of_git(key: str, value: str) -> bool:
    """Tell whether the setting starts a program of git itself or of Git LFS, with no words of the file."""
    return value in LFS.get(key, ()) or (value in OWN_HELPERS and CREDENTIALS.fullmatch(key) is not None)


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _settings(cwd: Path, environment: Mapping[str, str], account: AgentAccount) -> list[tuple[str, str]]:
    """Return the settings of the files, later ones last; none without git or outside of a repository.

    `git config --list` starts no program. It runs under the agent's account, as a link may lead anywhere.
    """
    listed = _told_by_git(cwd, environment, account, "config", "--list", "--show-scope", "--null")
    texts = listed.decode("utf-8", "surrogateescape").split("\0")
    pairs = zip(texts[::2], texts[1::2], strict=False)
    return [_split(text) for scope, text in pairs if scope in OF_FILES]


def _repository(cwd: Path, environment: Mapping[str, str], account: AgentAccount) -> Path | None:
    """Return the folder of the repository, which its work trees share; None outside of one."""
    told = _told_by_git(cwd, environment, account, "rev-parse", "--git-common-dir")
    return cwd / os.fsdecode(told.removesuffix(b"\n")) if told else None


def _hooks(repository: Path) -> list[str]:
    """Return names of the repository's hooks, without the samples that git writes itself. Reads MOST_SETTINGS files."""
    try:
        files = sorted(islice((repository / "hooks").iterdir(), MOST_SETTINGS))
        return [f"hook {file.name}" for file in files if file.suffix != ".sample" and _is_program(file)]
    except OSError:
        return []


def _is_program(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & 0o111)


def _told_by_git(cwd: Path, environment: Mapping[str, str], account: AgentAccount, *arguments: str) -> bytes:
    """Return what git prints; nothing without git. Raises TurnFailed `workspace_untrusted` when it does not end in
    time, or prints too much: a file that it includes may be a pipe, or without an end."""
    git = shutil.which("git", path=environment.get("PATH"))
    if git is None:
        return b""
    try:
        with subprocess.Popen(
            [git, "-C", str(cwd), *arguments],
            cwd="/",
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **account.of_children(),
        ) as process:
            try:
                return _read(process, seconds=LIST_SECONDS)
            finally:
                process.kill()
    except OSError as error:
        raise TurnFailed(
            "workspace_untrusted",
            f"Git's settings of {cwd} cannot be read: {error.strerror or error}. Correct the files that .git/config "
            "and ~/.gitconfig include, or let an operator set trustWorkspace for the app.",
        ) from None


def _read(process: subprocess.Popen[bytes], *, seconds: float) -> bytes:
    """Return the output until its end. Raises OSError when it is late or longer than MOST_BYTES."""
    assert process.stdout is not None
    parts: list[bytes] = []
    deadline, size = time.monotonic() + seconds, 0
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while ready.select(max(0, deadline - time.monotonic())):
            part = os.read(process.stdout.fileno(), CHUNK_BYTES)
            size += len(part)
            if not part:
                return b"".join(parts)
            if size > MOST_BYTES:
                raise OSError(errno.EFBIG, f"they have more than {MOST_BYTES} bytes")
            parts.append(part)
    raise OSError(errno.ETIMEDOUT, f"git did not end in {seconds:.0f} seconds")


def _split(text: str) -> tuple[str, str]:
    """Return the key and its value; a key without one is true."""
    key, separator, value = text.partition("\n")
    return key, value if separator else "true"
