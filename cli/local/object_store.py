"""The object store of one machine: the one for trying out beside the database, unless another is named by S3_*.

It listens on a port of loopback that is chosen once and remembered. Its key is given to the job worker only.
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
FOREIGN = ("S3_", "AWS_")


def brings_own_store(environ: Mapping[str, str]) -> bool:
    """Whether the person has said where workspaces are saved, or that they are not."""
    return any(environ.get(name) for name in ("S3_BUCKET", "S3_ENDPOINT_URL", "RUNYARD_WITHOUT_STORE"))


def without_store(environ: Mapping[str, str]) -> dict[str, str]:
    """The same without anything of a store: what all but the job worker are told."""
    return {name: value for name, value in environ.items() if not name.startswith(FOREIGN)}


def store_environment(places: DataDir, environ: Mapping[str, str], *, gateway: str | None = None) -> dict[str, str]:
    """What the job worker is told on top; of the store for trying out, only once its files are there."""
    own = {name: value for name, value in environ.items() if name.startswith((*FOREIGN, "RUNYARD_WITHOUT_STORE"))}
    if brings_own_store(environ) or not places.store_port.exists():
        return own
    access_key, secret = places.store_key.read_text().split()
    return {
        **{name: value for name, value in own.items() if not name.startswith("S3_")},
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{remembered_port(places)}",
        **({"S3_WORKER_ENDPOINT_URL": f"http://{gateway}:{remembered_port(places)}"} if gateway else {}),
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY_ID": access_key,
        "S3_SECRET_ACCESS_KEY": secret,
    }


def start_store(supervisor: Supervisor, places: DataDir, *, gateway: str | None) -> None:
    """Without waiting for it. It ends after all who use it. `gateway` is where workers in containers reach it."""
    keep_secret(places.store_key, f"{secrets.token_hex(10)}\n{secrets.token_urlsafe(30)}")
    places.store.mkdir(mode=0o700, exist_ok=True)
    port = choose_port(places)
    command = [sys.executable, "-m", "cli.local.object_store_server", "--folder", str(places.store)]
    command += ["--key-file", str(places.store_key), "--port", str(port)]
    command += ["--also", gateway] if gateway else []
    log = places.log("store")
    supervisor.start(Program("store", partial(spawn, command, log=log, cwd=CLONE), log=log, last=True))


def choose_port(places: DataDir) -> int:
    """The one of the last start if it is free, else any that is; remembered."""
    for candidate in (remembered_port(places), 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            write_private(places.store_port, f"{port}\n")
            return port
    raise OSError("There is no free port on 127.0.0.1.")


def remembered_port(places: DataDir) -> int:
    """0 when there is none."""
    try:
        return int(places.store_port.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def store_listens(places: DataDir) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", remembered_port(places)), timeout=1):
            return True
    except OSError:
        return False
