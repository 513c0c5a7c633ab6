"""Find secrets that processes of the same account can read in `/proc/<pid>/environ`, for those who run agents there.

What started a program keeps the environment that it gave. A program cannot change that, only tell it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WHAT_TO_DO = (
    "Run session workers in containers (docs/docker-workers.md), or start Runyard so that nothing else keeps them "
    "(docs/security.md)."
)
_PROC = Path("/proc")


@dataclass(frozen=True)
class ShownSecret:
    """A secret's name, and the program and process id of the nearest ancestor whose environment shows it."""

    name: str
    program: str
    pid: int


def secrets_of_ancestors(names: Collection[str]) -> list[ShownSecret]:
    """Return which of these variables an ancestor's environment shows with a value, sorted by name, each once.

    Return an empty list outside Linux, and leave out ancestors that this account cannot read.
    """
    found: dict[str, ShownSecret] = {}
    for pid, program in _ancestors(os.getppid()):
        for name in _set_in(pid).intersection(names):
            found.setdefault(name, ShownSecret(name, program, pid))
    return sorted(found.values(), key=lambda secret: secret.name)


def sentence_of(secrets: Sequence[ShownSecret]) -> str:
    """Say which secrets agents of this account can read, and where. `secrets` is not empty."""
    shown = ", ".join(f"{secret.name} ({secret.program}, process {secret.pid})" for secret in secrets)
    return f"Agents can read secrets in the environment of what started Runyard: {shown}."


def _ancestors(pid: int) -> Iterator[tuple[int, str]]:
    """Yield process ids and names of programs, from this process upwards."""
    while pid > 0:
        try:
            head, _, rest = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")
        except OSError:
            return
        yield pid, head.partition("(")[2]
        pid = int(rest.split()[1])


def _set_in(pid: int) -> set[str]:
    """Return the names of the variables that a process began with and that are not empty."""
    try:
        content = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return set()
    variables = (entry.partition(b"=") for entry in content.split(b"\0"))
    return {os.fsdecode(name) for name, _, value in variables if value}
