"""`python -m jobs [--accept-loss]`: run the job worker until SIGTERM or SIGINT. It survives outages of PostgreSQL.

`python -m jobs check-key [--accept-loss]`: check that RUNYARD_SECRET_KEY fits what is running.
`python -m jobs check-settings`: check the settings and do nothing else.
`python -m jobs doctor [--json]`: check this deployment, report each fault and its fix.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from schema.agent_environment import variables_named
from schema.sealed_environment import CONTROL_PLANE_SECRETS, seal_or_exit

if __name__ == "__main__":  # before slow imports: until then the environment is readable
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a stop that comes meanwhile waits for its handler
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
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return doctor(settings, sys.argv[2:])
    is_check = sys.argv[1:2] == ["check-key"]
    configure_logs("worker", level="ERROR" if is_check else settings.log_level)
    from jobs.job_worker import check_key

    accept_loss = "--accept-loss" in sys.argv[1:]
    if is_check:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        check_key(settings, accept_loss=accept_loss)
    else:
        _work_until_stopped(settings, accept_loss=accept_loss)
    return 0


def _work_until_stopped(settings: JobSettings, *, accept_loss: bool) -> None:
    """Work until a stop is requested, also one that came before the work began. Raise SecretKeyUnfit."""
    from jobs.hosts.compose import end_with_project
    from jobs.job_worker import work

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with suppress(SystemExit):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        work(settings, accept_loss=accept_loss)
    end_with_project(settings.worker_host)


if __name__ == "__main__":
    sys.exit(main())
