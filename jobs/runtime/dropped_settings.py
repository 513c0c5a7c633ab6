"""Name settings of similar systems that the job worker does not read."""

from __future__ import annotations

from collections.abc import Mapping


def dropped_settings(environ: Mapping[str, str]) -> list[str]:
    """Sentences about settings of the system that this one follows, which mean nothing here."""
    instead = {
        "CONTROL_PLANE_STORAGE": "there is one storage, PostgreSQL (DATABASE_URL)",
        "CONTROL_PLANE_DOCKER": "set WORKER_HOST instead",
        "EXECUTOR_IDLE_SECONDS": "an executor does not end by itself any more; idle workers are saved and then stopped"
        " after WORKER_IDLE_STOP_SECONDS",
        "FILE_BROWSER_ROOT": "files are read from the sessions' own workspaces",
    }
    return [f"{name} has no effect: {why}." for name, why in instead.items() if name in environ]
