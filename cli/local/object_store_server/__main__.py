"""`python -m cli.local.object_store_server --folder DIR --key-file FILE --port PORT`: serve until SIGTERM.

The server listens on 127.0.0.1 and on each `--also` address.

The key file holds the access key id and the secret, one per line, so that neither appears in a command line or an
environment. `--read-key-file` names a file with a second key, which only reads.
"""

from __future__ import annotations

import argparse
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from botocore.credentials import Credentials

from cli.local.object_store_server.objects import FolderInUse, ObjectFolder
from cli.local.object_store_server.serve import S3Subset
from schema.logs import configure_logs

IDLE_SECONDS = 75


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cli.local.object_store_server", description="Serve the trial object store."
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--read-key-file", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--also",
        type=local_address,
        action="append",
        default=[],
        help="a further address of this machine to listen on",
    )
    args = parser.parse_args()
    key = read_key(args.key_file)
    reading_key = read_key(args.read_key_file) if args.read_key_file else None
    configure_logs("store")
    try:
        objects = ObjectFolder(args.folder)
    except FolderInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        # No access log: a presigned URL is a secret while it is valid.
        config = uvicorn.Config(
            S3Subset(objects, key, reading_key=reading_key),
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run([listen(host, args.port) for host in ("127.0.0.1", *args.also)])
    finally:
        objects.close()
    return 0


def read_key(file: Path) -> Credentials:
    access_key, secret = file.read_text().split()
    return Credentials(access_key, secret)


def local_address(host: str) -> str:
    address = ip_address(host)
    if address.is_unspecified or not (address.is_loopback or address.is_private):
        raise argparse.ArgumentTypeError("use a loopback or private address of this machine")
    return host


def listen(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


if __name__ == "__main__":
    sys.exit(main())
