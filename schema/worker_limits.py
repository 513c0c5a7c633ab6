"""Define the limits of an app and its workers. The deployment's defaults replace absent ones."""

from __future__ import annotations

from pydantic import Field, ValidationError

from schema.errors import Invalid
from schema.wire import Json, Request

MEBIBYTE = 1024 * 1024
DAY_SECONDS = 86_400
LONGEST_SECONDS = 3650 * DAY_SECONDS


class WorkerLimits(Request):
    """Limits of an app's workers and runs.

    `cpus` is a number of processors, such as 0.5; `processes` counts threads too, as the kernel does. A worker idle for
    `idleStopSeconds` is saved and stopped; one stopped for `removeAfterSeconds` is removed. At most `concurrentRuns` of
    the app's runs are live at once.
    """

    cpus: float | None = Field(default=None, ge=0.1, le=256, allow_inf_nan=False)
    memory_bytes: int | None = Field(default=None, ge=256 * MEBIBYTE, le=4096 * 1024 * MEBIBYTE)
    processes: int | None = Field(default=None, ge=32, le=100_000)
    disk_bytes: int | None = Field(default=None, ge=64 * MEBIBYTE, le=1024 * 1024 * 16 * MEBIBYTE)
    idle_stop_seconds: int | None = Field(default=None, ge=1, le=30 * DAY_SECONDS)
    remove_after_seconds: int | None = Field(default=None, ge=1, le=LONGEST_SECONDS)
    concurrent_runs: int | None = Field(default=None, ge=1, le=1_000_000)


def read_limits(limits: Json) -> WorkerLimits:
    """Parse limits. Raises Invalid with the first fault."""
    try:
        return WorkerLimits.model_validate(limits)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    raise Invalid(f"{'.'.join(map(str, fault['loc'])) or 'limits'}: {fault['msg']}", code="bad_limits")
