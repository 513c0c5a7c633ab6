"""`python -m jobs [--accept-loss]`: run the job worker until SIGTERM or SIGINT. It survives outages of PostgreSQL.

`python -m jobs check-key [--accept-loss]`: check that RUNYARD_SECRET_KEY fits what is running.
`python -m jobs check-settings`: check the settings and do nothing else.
`python -m jobs doctor [--json]`: check this deployment, report each fault and its fix.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from schema.agent_environment import variables_named
from schema.sealed_environment import CONTROL_PLANE_SECRETS, seal_or_exit

if __name__ == "__main__":  # before slow imports: until then the environment is readable
    seal_or_exit([*CONTROL_PLANE_SECRETS, *variables_named(Path(os.environ.get("PROVIDERS_FILE") or "providers.toml"))])

from jobs.runtime.dropped_settings import dropped_settings
from jobs.runtime.settings import JobSettings, read_settings
from schema.logs import configure_logs
from schema.settings import BadSetting


def main() -> int:
    """Run the job worker or the doctor. Return the exit status: 2 for invalid settings."""
    try:
        return _run(read_settings())
    except BadSetting as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2


def _run(settings: JobSettings) -> int:
    """Run with these settings. Raise BadSetting for a bad setting that only the chosen host reads."""
    for sentence in dropped_settings(os.environ):
        sys.stderr.write(f"{sentence}\n")
    if sys.argv[1:2] == ["check-settings"]:
        return 0
    if sys.argv[1:2] == ["doctor"]:
        from jobs.doctor.report import doctor

        configure_logs("doctor", level="ERROR")
        return doctor(settings, sys.argv[2:])
    is_check = sys.argv[1:2] == ["check-key"]
    configure_logs("worker", level="ERROR" if is_check else settings.log_level)
    from jobs.hosts.compose import end_with_project
    from jobs.job_worker import check_key, work

    accept_loss = "--accept-loss" in sys.argv[1:]
    if is_check:
        check_key(settings, accept_loss=accept_loss)
    else:
        work(settings, accept_loss=accept_loss)
        end_with_project(settings.worker_host)
    return 0


if __name__ == "__main__":
    sys.exit(main())
