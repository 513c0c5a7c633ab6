"""Who PostgreSQL runs as: it refuses to be root.

Under root it gets a user namespace in which root is called 65534 (nobody): files stay root's and no mode changes. Where
the system has no user namespaces it runs as nobody, which then must be able to reach the programs and the data.
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
    """PostgreSQL cannot run as root, and there is nobody else here that it could run as."""


@dataclass(frozen=True)
class PostgresAccount:
    """`prefix` goes before a command; `uid` is the account to change to, None for the one that we have."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None


def find_account(binaries: Path) -> PostgresAccount:
    """Raises NoAccount when we are root and neither way works."""
    if os.geteuid() != 0:
        return PostgresAccount()
    if _runs([*IN_NAMESPACE, binaries / "postgres", "--version"]):
        return PostgresAccount(prefix=IN_NAMESPACE)
    return account_of_nobody(binaries)


def account_of_nobody(binaries: Path) -> PostgresAccount:
    if not _runs([binaries / "postgres", "--version"], uid=NOBODY):
        raise NoAccount(
            "PostgreSQL refuses to run as root, this system has no user namespaces, and the user nobody cannot run "
            f"{binaries}/postgres. Start Runyard as an ordinary user, or put its clone where nobody may read."
        )
    return PostgresAccount(uid=NOBODY)


def give(folder: Path, account: PostgresAccount) -> None:
    """Make the account the owner of the folder and all in it; nothing to do unless the account is another than ours."""
    if account.uid is None or folder.lstat().st_uid == account.uid:
        return
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise NoAccount(
                "PostgreSQL refuses to run as root, this system has no user namespaces, and the user nobody cannot "
                f"pass through {parent}. Start Runyard as an ordinary user, or put its data elsewhere: "
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
