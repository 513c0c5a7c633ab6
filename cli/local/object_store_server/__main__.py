"""`python -m cli.local.object_store_server --folder DIR --key-file FILE --port PORT`: serve until SIGTERM, on
127.0.0.1 and `--also`.

The key file holds the access key id and the secret, a line each: neither stands in a command line or an environment.
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
        prog="python -m cli.local.object_store_server", description="An object store for trying out."
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--also",
        type=of_this_machine,
        action="append",
        default=[],
        help="a further address of this machine to listen on",
    )
    asked = parser.parse_args()
    access_key, secret = asked.key_file.read_text().split()
    configure_logs("store")
    try:
        objects = ObjectFolder(asked.folder)
    except FolderInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        # No access log: the address of a link is a secret while it works.
        config = uvicorn.Config(
            S3Subset(objects, Credentials(access_key, secret)),
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run([listen(host, asked.port) for host in ("127.0.0.1", *asked.also)])
    finally:
        objects.close()
    return 0


def of_this_machine(host: str) -> str:
    address = ip_address(host)
    if address.is_unspecified or not (address.is_loopback or address.is_private):
        raise argparse.ArgumentTypeError("it listens on loopback or a private address of this machine, never beyond")
    return host


def listen(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


if __name__ == "__main__":
    sys.exit(main())
