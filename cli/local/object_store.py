"""The object store of one machine: the trial store, unless S3_* settings name another store.

The trial store listens on a loopback port, which `choose_port` remembers in a file. It has two keys: the job worker's,
and the API's, which only reads.
"""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Mapping
from functools import partial

from cli.local.data_dir import CLONE, DataDir, keep_secret, write_private
from cli.local.processes import spawn
from cli.local.supervisor import Program, Supervisor

BUCKET = "runyard"
STORE_PREFIXES = ("S3_", "AWS_")
READING_KEY = "S3_READ_ACCESS_KEY_ID"


def has_configured_store(environ: Mapping[str, str]) -> bool:
    """Whether the environment names an object store or turns stores off."""
    return any(environ.get(name) for name in ("S3_BUCKET", "S3_ENDPOINT_URL", "RUNYARD_WITHOUT_STORE"))


def without_store(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without store settings, for programs that do not use the store."""
    return {name: value for name, value in environ.items() if not name.startswith(STORE_PREFIXES)}


def store_environment(data_dir: DataDir, environ: Mapping[str, str], *, gateway: str | None = None) -> dict[str, str]:
    """Return the job worker's store settings; those of the trial store only once its files exist. The API's key for
    reading is among them, except where an older `make up` still runs."""
    own_names = (*STORE_PREFIXES, "RUNYARD_WITHOUT_STORE")
    own = {name: value for name, value in environ.items() if name.startswith(own_names)}
    if has_configured_store(environ) or not data_dir.store_port.exists():
        return own
    access_key, secret = data_dir.store_key.read_text().split()
    return {
        **{name: value for name, value in own.items() if not name.startswith("S3_")},
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{remembered_port(data_dir)}",
        **({"S3_WORKER_ENDPOINT_URL": f"http://{gateway}:{remembered_port(data_dir)}"} if gateway else {}),
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY_ID": access_key,
        "S3_SECRET_ACCESS_KEY": secret,
        **_reading_pair(data_dir),
    }


def _reading_pair(data_dir: DataDir) -> dict[str, str]:
    try:
        reading_key, reading_secret = data_dir.store_reading_key.read_text().split()
    except FileNotFoundError:  # written at the next start
        return {}
    return {READING_KEY: reading_key, "S3_READ_SECRET_ACCESS_KEY": reading_secret}


def reading_environment(data_dir: DataDir, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the API's store settings: those of the job worker, without the writing key where a reading one is set."""
    settings = store_environment(data_dir, environ)
    if settings.get(READING_KEY) or settings.get(f"{READING_KEY}_FILE"):
        settings = {
            name: value for name, value in settings.items() if not name.startswith(("S3_ACCESS_KEY", "S3_SECRET"))
        }
    return settings


def start_store(supervisor: Supervisor, data_dir: DataDir, *, gateway: str | None) -> None:
    """Start the trial store without waiting for it. It ends last.

    `gateway` is its second address, for workers in containers.
    """
    for file in (data_dir.store_key, data_dir.store_reading_key):
        keep_secret(file, f"{secrets.token_hex(10)}\n{secrets.token_urlsafe(30)}")
    data_dir.store.mkdir(mode=0o700, exist_ok=True)
    port = choose_port(data_dir)
    command = [sys.executable, "-m", "cli.local.object_store_server", "--folder", str(data_dir.store)]
    command += ["--key-file", str(data_dir.store_key), "--read-key-file", str(data_dir.store_reading_key)]
    command += ["--port", str(port)]
    command += ["--also", gateway] if gateway else []
    log = data_dir.log("store")
    supervisor.start(Program("store", partial(spawn, command, log=log, cwd=CLONE), log=log, last=True))


def choose_port(data_dir: DataDir) -> int:
    """Choose the last start's port, or any free port when another program uses it, and remember the choice."""
    for candidate in (remembered_port(data_dir), 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            write_private(data_dir.store_port, f"{port}\n")
            return port
    raise OSError("127.0.0.1 has no free port for the object store.")


def remembered_port(data_dir: DataDir) -> int:
    """Return the remembered port; 0 when there is none."""
    try:
        return int(data_dir.store_port.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def store_listens(data_dir: DataDir) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", remembered_port(data_dir)), timeout=1):
            return True
    except OSError:
        return False
