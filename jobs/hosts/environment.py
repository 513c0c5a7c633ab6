"""The environment of an executor that we start: an allow list, and what the providers file names. Never our secrets."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jobs.hosts import HostFailed
from jobs.hosts.container import RUN, Furniture

_ALLOWED = frozenset(
    [
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TERM",
        "SHELL",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "COLORTERM",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "LD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "LOG_LEVEL",
        "EXECUTOR_STOP_GRACE_SECONDS",
        "EXECUTOR_HEARTBEAT_SECONDS",
    ]
)
_NEVER = ("DATABASE_URL", "RUNYARD_", "PG", "EXECUTOR_AUTH_TOKEN", "S3_")


def executor_environment(environ: Mapping[str, str], *, providers_file: Path, agents_dir: Path) -> dict[str, str]:
    """What every executor of this host is given; the settings of one session's come on top."""
    named = {name for name in variables_named(providers_file) if not name.startswith(_NEVER)}
    kept = {name: value for name, value in environ.items() if name in _ALLOWED or name.startswith("LC_")}
    asked_for = {name: environ[name] for name in named if name in environ}
    return {**kept, **asked_for, "PROVIDERS_FILE": str(providers_file), "AGENTS_DIR": str(agents_dir)}


_IN_CONTAINERS = frozenset(name for name in _ALLOWED if name.lower().endswith("_proxy")) | {
    "TZ",
    "LOG_LEVEL",
    "EXECUTOR_STOP_GRACE_SECONDS",
    "EXECUTOR_HEARTBEAT_SECONDS",
}
"""What of this machine's environment also means something in a container."""


def container_furniture(environ: Mapping[str, str], *, providers_file: Path) -> Furniture:
    """What an executor in a container is given: the variables that the providers file names, the file itself, and the
    files that it names, put where the container has room for secrets. One that cannot be read stays named as it is: the
    executor says so."""
    files: dict[str, bytes] = {}

    def bring(name: str) -> str:
        try:
            content = (providers_file.parent / Path(name).expanduser()).read_bytes()
        except OSError:
            return name
        there = f"{RUN}/runyard/files/{len(files)}"
        files[there] = content
        return there

    settings = {name: environ[name] for name in _IN_CONTAINERS if name in environ}
    try:
        tables = tomllib.loads(providers_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HostFailed(f"The providers file {providers_file} cannot be read: {error}.") from None
    settings |= {name: environ[name] for name in _named_in(tables) if name in environ and not name.startswith(_NEVER)}
    there = f"{RUN}/runyard/providers.json"
    content = json.dumps(_with_files(tables, bring)).encode()
    return Furniture({**settings, "PROVIDERS_FILE": there}, {there: content, **files})


def _with_files(value: object, bring: Callable[[str], str]) -> object:
    """The same tables, with the paths of the files that they name replaced."""
    if isinstance(value, dict):
        return {
            key: bring(inner)
            if key in ("secret_file", "source") and isinstance(inner, str)
            else _with_files(inner, bring)
            for key, inner in value.items()
        }
    return [_with_files(inner, bring) for inner in value] if isinstance(value, list) else value


def variables_named(providers_file: Path) -> set[str]:
    """The variables that the file takes from the environment (`from_env`). None of a file that cannot be read: the
    executor itself says what is wrong with it."""
    try:
        tables = tomllib.loads(providers_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(_named_in(tables))


def _named_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "from_env" and isinstance(inner, str):
                yield inner
            else:
                yield from _named_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named_in(inner)
