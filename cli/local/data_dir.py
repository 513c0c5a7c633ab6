"""The data folder of one clone: `.runyard/`, or RUNYARD_DATA_DIR.

Secret files have mode 600 and private folders mode 700. The data folder itself has mode 711: under root, PostgreSQL may
run as another user who must pass through it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ALIVE = "worker-alive"
CLONE = Path(__file__).resolve().parents[2]
SHORT = Path("/tmp")  # noqa: S108  a socket path holds at most 107 bytes; the folder made here is private
MEMORY = Path("/dev/shm")  # noqa: S108  the folder made here is private


class NotPrivate(Exception):
    """A folder that must be private has another owner or is open to other users."""


@dataclass(frozen=True)
class DataDir:
    """The files and folders of one clone's data."""

    root: Path

    @property
    def token(self) -> Path:
        return self.root / "token"

    @property
    def secret(self) -> Path:
        return self.root / "secret"

    @property
    def previous_secret(self) -> Path:
        """The key before `secret`, which a person leaves here while changing the key."""
        return self.root / "secret-previous"

    @property
    def sign_in_code(self) -> Path:
        return self.root / "sign-in-code"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def running(self) -> Path:
        return self.root / "running.json"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def store_key(self) -> Path:
        return self.root / "store-key"

    @property
    def store_reading_key(self) -> Path:
        return self.root / "store-reading-key"

    @property
    def store_port(self) -> Path:
        return self.root / "store-port"

    @property
    def workers(self) -> Path:
        return self.root / "workers"

    @property
    def agents(self) -> Path:
        return self.root / "agents"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def sockets(self) -> Path:
        """The private folder for this data folder's sockets. Its path is short, however long the clone's path is."""
        return socket_folder(self.postgres)

    def in_memory(self, environ: Mapping[str, str]) -> list[Path]:
        """Return where a private folder for this data folder can be that is on no disk, the best first."""
        parents = [MEMORY, *(Path(folder) for folder in [environ.get("XDG_RUNTIME_DIR")] if folder)]
        return [parent / self.sockets.name for parent in parents]

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def find_data_dir(environ: Mapping[str, str] = os.environ) -> DataDir:
    return DataDir(Path(environ.get("RUNYARD_DATA_DIR") or CLONE / ".runyard").absolute())


def make_data_dir(data_dir: DataDir) -> None:
    """Create missing files and folders. Keep existing ones, so that an earlier start's token and key stay valid."""
    data_dir.root.mkdir(parents=True, exist_ok=True)
    data_dir.root.chmod(0o711)
    for folder in (data_dir.workers, data_dir.agents, data_dir.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    make_private_folder(data_dir.sockets)
    keep_secret(data_dir.token, secrets.token_urlsafe(32))
    keep_secret(data_dir.secret, secrets.token_hex(32))


def make_alive_file_path(data_dir: DataDir, environ: Mapping[str, str]) -> Path:
    """Return a path for the job worker's alive file where no file is.

    It is in memory, where the machine has that: trouble of the data's disk must not look like a frozen job worker.
    """
    file = next(_private(data_dir.in_memory(environ)), data_dir.root) / ALIVE
    file.unlink(missing_ok=True)
    return file


def _private(folders: Iterable[Path]) -> Iterator[Path]:
    """Make these folders, and yield those that are ours."""
    for folder in folders:
        with suppress(OSError, NotPrivate):
            make_private_folder(folder)
            yield folder


def remove_runtime_files(data_dir: DataDir, environ: Mapping[str, str] = os.environ) -> None:
    """Remove what only a running Runyard needs: its sockets and the alive file."""
    for folder in (data_dir.sockets, *data_dir.in_memory(environ)):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        (data_dir.root / ALIVE).unlink()


def keep_secret(file: Path, value: str) -> None:
    """Write `value` atomically unless the file already has content."""
    if not file.exists() or not file.read_text().strip():
        write_private(file, value + "\n")
    file.chmod(0o600)


def write_private(file: Path, text: str) -> None:
    """Replace the file's content atomically, readable by this user only."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)


def socket_folder(data_dir: Path) -> Path:
    """Return the socket folder; every process that names the same folder gets the same path."""
    return SHORT / f"runyard-{os.geteuid()}-{sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]}"


def make_private_folder(folder: Path, *, owner: int | None = None) -> None:
    """Create a folder with mode 700. Raise NotPrivate when another user made it first or it is open to others."""
    folder.mkdir(mode=0o700, exist_ok=True)
    stat = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or stat.st_uid not in {os.geteuid(), owner} or stat.st_mode & 0o077:
        raise NotPrivate(f"{folder} must be a folder of this user with mode 700. Remove it, then start again.")
