"""Where one clone keeps what it must not lose: the folder `.runyard/` (or RUNYARD_DATA_DIR).

Everything secret in it has mode 600, every folder that holds something private 700. The folder itself lets others pass
through (711), for under root PostgreSQL may have to run as another user.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
SHORT = Path("/tmp")  # noqa: S108  a socket's path has at most 107 bytes; the folder made here is private


class NotPrivate(Exception):
    """A folder that must be ours alone belongs to somebody else or is open to others."""


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
        """The private folder for the sockets of these data; short, whatever the path of the clone."""
        return socket_folder(self.postgres)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def find_places(environ: Mapping[str, str] = os.environ) -> DataDir:
    return DataDir(Path(environ.get("RUNYARD_DATA_DIR") or CLONE / ".runyard").absolute())


def make_places(places: DataDir) -> None:
    """Make what is missing. What was made once stays: the token and the key of an earlier start go on to be valid."""
    places.root.mkdir(parents=True, exist_ok=True)
    places.root.chmod(0o711)
    for folder in (places.workers, places.agents, places.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    make_private_folder(places.sockets)
    keep_secret(places.token, secrets.token_urlsafe(32))
    keep_secret(places.secret, secrets.token_hex(32))


def keep_secret(file: Path, value: str) -> None:
    """Write `value` unless the file holds something already. It appears whole or not at all."""
    if not file.exists() or not file.read_text().strip():
        write_private(file, value + "\n")
    file.chmod(0o600)


def write_private(file: Path, text: str) -> None:
    """Replace the file's content at once, readable by us only."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)


def socket_folder(data_dir: Path) -> Path:
    """The same for every process that names the same data folder."""
    return SHORT / f"runyard-{os.geteuid()}-{sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]}"


def make_private_folder(folder: Path, *, owner: int | None = None) -> None:
    """Make it with mode 700. In a folder that all may write to, somebody else may have been first: NotPrivate."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or found.st_uid not in {os.geteuid(), owner} or found.st_mode & 0o077:
        raise NotPrivate(f"{folder} must be a folder of ours with mode 700. Remove it, then start again.")
