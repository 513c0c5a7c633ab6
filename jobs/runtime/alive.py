"""`python -m jobs.runtime.alive`: a container's health check. The exit status is 1 when the job worker here is silent.

It reads the age of WORKER_ALIVE_FILE, which the job worker touches (jobs/runtime/heartbeat.py).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

SILENT_SECONDS = 20.0


def main() -> int:
    file = Path(os.environ.get("WORKER_ALIVE_FILE") or "worker-alive")
    try:
        silent = time.time() - file.stat().st_mtime
    except OSError as error:
        sys.stderr.write(f"{file}: {error.strerror}\n")
        return 1
    if silent <= SILENT_SECONDS:
        return 0
    sys.stderr.write(f"The job worker has been silent for {silent:.0f} s.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
