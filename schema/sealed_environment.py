"""Keep secret settings out of `/proc/<pid>/environ`, which every process of the same account can read.

A secret stands in the variable NAME or in the file that NAME_FILE names. `seal` takes both. A program whose environment
holds secrets begins again without them, in the same process: it inherits them in a file without a name. Afterwards they
are in its memory alone, and the kernel lets no other process of the account read that.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar

from schema.errors import RunyardError
from schema.prctl import forbid_reading

CONTROL_PLANE_SECRETS = (
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "RUNYARD_SECRET_KEY",
    "RUNYARD_SECRET_KEY_PREVIOUS",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    "S3_READ_ACCESS_KEY_ID",
    "S3_READ_SECRET_ACCESS_KEY",
    "EXECUTOR_AUTH_TOKEN",
)
MAY_BE_EMPTY = ("RUNYARD_SECRET_KEY_PREVIOUS",)
"""An empty file of these means that the secret is not set."""
CARRIED = "RUNYARD_SECRETS_FD"
"""Names the descriptor of the inherited file: a JSON object of values by name."""
_LARGEST_FILE = 64 * 1024
_SEALED = "_runyard_is_sealed"
"""An attribute of `sys` once this process is sealed: the names that it inherited in a file. It outlives a reload of
modules, and no program inherits it."""


class BadSecretFile(RunyardError):
    """A secret's file cannot be used. One sentence says which setting and why, never the value."""

    code: ClassVar[str] = "bad_settings"


def seal_or_exit(names: Iterable[str]) -> None:
    """Seal this program. A bad NAME_FILE ends it with one sentence and status 2."""
    try:
        seal(names)
    except BadSecretFile as error:
        sys.stderr.write(f"{error.detail}\n")
        sys.exit(2)


def hide_or_exit(names: Iterable[str]) -> None:
    """Take these variables into memory, and read no files. An inherited file that is none ends the program."""
    try:
        _hide(names)
    except BadSecretFile as error:
        sys.stderr.write(f"{error.detail}\n")
        sys.exit(2)


def seal(names: Iterable[str]) -> None:
    """Take these secrets into memory, from the inherited file, from files, or by beginning the program again.

    Call it first at an entry point, before any thread or child, and before slow imports. Raises BadSecretFile.
    A later call in the same process reads files alone: gunicorn reads its configuration again on SIGHUP.
    """
    names = tuple(names)
    if not hasattr(sys, _SEALED):  # beginning again would close the listeners and forget the children
        _hide(names)
    load_secret_files(names)


def _hide(names: Iterable[str]) -> None:
    forbid_reading()
    carried = os.environ.pop(CARRIED, None)
    values = {} if carried is None else _read(int(carried))
    setattr(sys, _SEALED, tuple(values))
    os.environ.update(values)
    open_secrets = {name: value for name in names if (value := os.environ.get(name))}
    if carried is None and open_secrets:
        with sealed(os.environ, open_secrets) as (environment, descriptor):
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - as the function takes it
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - no shell


def load_secret_files(names: Iterable[str]) -> None:
    """Set each of these variables from the file that NAME_FILE names. Raises BadSecretFile."""
    loaded = secrets_from_files(os.environ, names)
    os.environ.update(loaded)
    for name in loaded:
        del os.environ[f"{name}_FILE"]  # otherwise both would be set


def secrets_from_files(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the values that files hold, by name, without their line end.

    Raises BadSecretFile for an unreadable or too large file, for an empty one except of MAY_BE_EMPTY, and where both
    NAME and NAME_FILE are set.
    """
    return {name: _of_file(environ, name) for name in names if environ.get(f"{name}_FILE")}


def unseal(environ: MutableMapping[str, str], names: Iterable[str]) -> None:
    """Put this program's secrets, and what else it inherited in a file, into the environment of a program that replaces
    it and seals itself."""
    environ.pop(CARRIED, None)
    for name in {*names, *getattr(sys, _SEALED, ())}:
        if name in os.environ:
            environ.pop(f"{name}_FILE", None)
            environ[name] = os.environ[name]


@contextmanager
def sealed(environ: Mapping[str, str], names: Iterable[str]) -> Iterator[tuple[dict[str, str], int]]:
    """Yield an environment for a program that seals itself, and the descriptor of the secrets that it must inherit."""
    secrets = {name: environ[name] for name in names if name in environ}
    with _file_without_name() as file:
        file.write(json.dumps(secrets).encode())
        file.flush()
        descriptor = file.fileno()
        rest = {name: value for name, value in environ.items() if name not in secrets}
        yield {**rest, CARRIED: str(descriptor)}, descriptor


def _file_without_name() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("secrets"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def _read(descriptor: int) -> dict[str, str]:
    """Return the inherited secrets and close their file. Several readers may share it: none moves its position."""
    try:
        values: dict[str, str] = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
        os.close(descriptor)
    except (OSError, ValueError):
        raise BadSecretFile(f"{CARRIED} names no inherited file. Unset it: Runyard's programs set it.") from None
    return values


def _of_file(environ: Mapping[str, str], name: str) -> str:
    if environ.get(name):
        raise BadSecretFile(f"{name} and {name}_FILE are both set. Unset one of them.")
    path = Path(environ[f"{name}_FILE"])
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError):
        raise BadSecretFile(f"{name}_FILE names a file that cannot be read: {path}.") from None
    if len(text) > _LARGEST_FILE or not (text.strip() or name in MAY_BE_EMPTY):
        raise BadSecretFile(f"{name}_FILE names a file that is empty or too large: {path}.")
    return text.strip()
