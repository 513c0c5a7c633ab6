"""Build an executor's environment from an allow list and the variables that the providers file names.

It never holds a secret of the control plane.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jobs.hosts import HostFailed
from jobs.hosts.container import RUN_DIR, ExecutorInputs
from schema.agent_environment import PROXIES, is_harmless, names_in, variables_named
from schema.sealed_environment import sealed

_OF_EXECUTORS = frozenset(
    [
        "HOME",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "LOG_LEVEL",
        "EXECUTOR_STOP_GRACE_SECONDS",
        "EXECUTOR_HEARTBEAT_SECONDS",
        "AGENT_SILENT_SECONDS",
    ]
)
_NEVER = ("DATABASE_", "RUNYARD_", "PG", "EXECUTOR_AUTH_TOKEN", "S3_")


def executor_environment(environ: Mapping[str, str], *, providers_file: Path, agents_dir: Path) -> dict[str, str]:
    """Return the environment of every executor on this host. The caller adds the session's own settings."""
    named_variables = {name for name in variables_named(providers_file) if not name.startswith(_NEVER)}
    kept = {name: value for name, value in environ.items() if name in _OF_EXECUTORS or is_harmless(name)}
    requested = {name: environ[name] for name in named_variables if name in environ}
    return {**kept, **requested, "PROVIDERS_FILE": str(providers_file), "AGENTS_DIR": str(agents_dir)}


@contextmanager
def sealed_executor(environment: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the environment for an executor's process, without what the providers file takes from it, and the
    descriptor that the process inherits for these secrets."""
    with sealed(environment, variables_named(Path(environment["PROVIDERS_FILE"]))) as (rest, descriptor):
        yield rest, descriptor


_IN_CONTAINERS = PROXIES | {
    "TZ",
    "LOG_LEVEL",
    "EXECUTOR_STOP_GRACE_SECONDS",
    "EXECUTOR_HEARTBEAT_SECONDS",
    "AGENT_SILENT_SECONDS",
}
"""The variables of this machine that are useful in a container too."""


def container_inputs(environ: Mapping[str, str], *, providers_file: Path) -> ExecutorInputs:
    """Return a containerized executor's inputs: the variables and files of the providers file, and the file itself.

    Files go to the container's folder for secrets. The path of an unreadable file stays as it is: the executor reports
    it. Raise HostFailed when the providers file is unreadable.
    """
    files: dict[str, bytes] = {}

    def bring(name: str) -> str:
        try:
            content = (providers_file.parent / Path(name).expanduser()).read_bytes()
        except OSError:
            return name
        container_path = f"{RUN_DIR}/runyard/files/{len(files)}"
        files[container_path] = content
        return container_path

    settings = {name: environ[name] for name in _IN_CONTAINERS if name in environ}
    try:
        tables = tomllib.loads(providers_file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise HostFailed(f"The providers file {providers_file} is not readable: {error}.") from None
    settings |= {name: environ[name] for name in names_in(tables) if name in environ and not name.startswith(_NEVER)}
    container_path = f"{RUN_DIR}/runyard/providers.json"
    content = json.dumps(_with_files(tables, bring)).encode()
    return ExecutorInputs({**settings, "PROVIDERS_FILE": container_path}, {container_path: content, **files})


def _with_files(value: object, bring: Callable[[str], str]) -> object:
    """Return the tables with the paths of their files replaced by `bring`."""
    if isinstance(value, dict):
        return {
            key: bring(inner)
            if key in ("secret_file", "source") and isinstance(inner, str)
            else _with_files(inner, bring)
            for key, inner in value.items()
        }
    return [_with_files(inner, bring) for inner in value] if isinstance(value, list) else value
