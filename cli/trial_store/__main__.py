"""`python -m cli.trial_store --folder DIR --key-file FILE --port PORT`: serve until SIGTERM, on 127.0.0.1 only.

The key file holds the access key id and the secret, a line each: neither stands in a command line or an environment.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn
from botocore.credentials import Credentials

from cli.trial_store.objects import FolderInUse, Objects
from cli.trial_store.serve import S3Subset
from schema.logs import configure_logs

IDLE_SECONDS = 75


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cli.trial_store", description="An object store for trying out.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    access_key, secret = asked.key_file.read_text().split()
    configure_logs("store")
    try:
        objects = Objects(asked.folder)
    except FolderInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        # No access log: the address of a link is a secret while it works.
        uvicorn.run(
            S3Subset(objects, Credentials(access_key, secret)),
            host="127.0.0.1",
            port=asked.port,
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=5,
        )
    finally:
        objects.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
