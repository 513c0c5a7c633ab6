"""`python -m jobs`: the job worker. It ends when it is told to, never because PostgreSQL was away.

`python -m jobs doctor [--json]`: what is wrong with this deployment, and what to do.
"""

from __future__ import annotations

import os
import sys

from jobs.runtime.settings import JobSettings, dropped_settings, read_settings
from schema.logs import configure_logs
from schema.settings import BadSetting


def main() -> int:
    """The exit status: 2 for settings that cannot be used."""
    try:
        return _run(read_settings())
    except BadSetting as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2


def _run(settings: JobSettings) -> int:
    """Raises BadSettings also for what only the chosen host reads."""
    for sentence in dropped_settings(os.environ):
        sys.stderr.write(f"{sentence}\n")
    if sys.argv[1:2] == ["doctor"]:
        from jobs.doctor.report import doctor

        configure_logs("doctor", level="ERROR")
        return doctor(settings, sys.argv[2:])
    configure_logs("worker", level=settings.log_level)
    from jobs.job_worker import work

    work(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
