"""The account that PostgreSQL runs as: PostgreSQL refuses to run as root.

Under root, PostgreSQL runs in a user namespace that maps root to 65534 (nobody): root keeps its files and no mode
changes. Without user namespaces, PostgreSQL runs as nobody, who must be able to reach the programs and the data.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
IN_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")


class NoAccount(Exception):
    """PostgreSQL cannot run as root, and no other account works on this system."""


@dataclass(frozen=True)
class PostgresAccount:
    """`prefix` precedes a command; `uid` is the account to switch to, None for the current one."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None


def find_account(binaries: Path) -> PostgresAccount:
    """Choose the account for PostgreSQL. Raise NoAccount under root when neither way works."""
    if os.geteuid() != 0:
        return PostgresAccount()
    if _runs([*IN_NAMESPACE, binaries / "postgres", "--version"]):
        return PostgresAccount(prefix=IN_NAMESPACE)
    return account_of_nobody(binaries)


def account_of_nobody(binaries: Path) -> PostgresAccount:
    if not _runs([binaries / "postgres", "--version"], uid=NOBODY):
        raise NoAccount(
            "PostgreSQL refuses to run as root, this system has no user namespaces, and the user nobody cannot run "
            f"{binaries}/postgres. Start Runyard as an ordinary user, or move the clone where nobody can read it."
        )
    return PostgresAccount(uid=NOBODY)


def give(folder: Path, account: PostgresAccount) -> None:
    """Make the account the owner of the folder and its content, unless it is the current account."""
    if account.uid is None or folder.lstat().st_uid == account.uid:
        return
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise NoAccount(
                "PostgreSQL refuses to run as root, this system has no user namespaces, and the user nobody cannot "
                f"pass through {parent}. Start Runyard as an ordinary user, or choose another data folder: "
                "RUNYARD_DATA_DIR=/srv/runyard make up"
            )
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, account.uid, account.uid)


def _runs(command: list[str | Path], *, uid: int | None = None) -> bool:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
