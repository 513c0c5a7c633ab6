"""Start the executor: `python -m executor` serves, `python -m executor providers --json` prints the registry's
providers.

`python -m executor --spare` imports everything and then waits for one line of JSON on standard input: `{"settings":
{name: value}, "files": {path: base64}, "log": path}`. It then serves with these settings. `files` and `log` are
optional. A spare exits when its standard input closes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from schema.agent_environment import variables_named
from schema.sealed_environment import seal_or_exit

if __name__ == "__main__":  # before slow imports: until then the environment is readable
    seal_or_exit(["EXECUTOR_AUTH_TOKEN", *variables_named(Path(os.environ.get("PROVIDERS_FILE") or "providers.toml"))])

import asyncio
import base64
import json
from functools import partial

from executor.process.settings import ExecutorSettings, ProviderSettings, read_settings
from schema.errors import RunyardError
from schema.logs import configure_logs

USAGE = "usage: python -m executor [--spare | providers --json]"


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 2 for invalid settings or an invalid registry."""
    try:
        match arguments:
            case []:
                run_service()
            case ["--spare"]:
                run_spare()
            case ["providers", "--json"]:
                print_providers()
            case _:
                sys.stderr.write(f"{USAGE}\n")
                return 2
    except RunyardError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2
    return 0


def run_service() -> None:
    """Serve until the executor is stopped, with settings from the environment."""
    settings = read_settings(ExecutorSettings)
    os.environ.pop("EXECUTOR_AUTH_TOKEN", None)  # the executor's children must not inherit the token
    environment = dict(os.environ)
    configure_logs("executor", level=settings.log_level)
    from executor.agents import fresh_registry as providers
    from executor.serve import serve

    asyncio.run(
        serve(
            settings,
            take_turn=partial(providers.take_turn, settings, environment),
            declare_providers=partial(providers.declare_providers, settings, environment),
            prepare=providers.load_drivers,
        )
    )


def run_spare() -> None:
    """Import everything, wait for an assignment on standard input, then serve. Return when the input closes without
    one."""
    from executor import serve  # noqa: F401  importing it takes most of the start time
    from executor.agents import fresh_registry as providers

    providers.load_drivers()
    line = sys.stdin.readline()
    if not line:
        return
    assignment = json.loads(line)
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    if "log" in assignment:
        _log_to(assignment["log"])
    for path, content in assignment.get("files", {}).items():
        _write_private(Path(path), base64.b64decode(content))
    os.environ.update(assignment["settings"])
    run_service()


def _log_to(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)


def print_providers() -> None:
    """Print the registry's providers as a JSON list."""
    from executor.agents.fresh_registry import declare_providers

    declared = declare_providers(read_settings(ProviderSettings), dict(os.environ))
    sys.stdout.write(json.dumps([provider.to_json() for provider in declared], indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
