"""`python -m executor` serves; `python -m executor providers --json` says what the registry declares."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import partial

from executor.settings import ProviderSettings, Settings, read_settings
from schema.errors import RunyardError
from schema.logs import configure_logs

USAGE = "usage: python -m executor [providers --json]"


def main(arguments: list[str]) -> int:
    """The exit code: 2 for settings or a registry that cannot be used."""
    try:
        match arguments:
            case []:
                run_service()
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
    settings = read_settings(Settings)
    os.environ.pop("EXECUTOR_AUTH_TOKEN", None)  # no program that we start may inherit it
    environment = dict(os.environ)
    configure_logs("executor", level=settings.log_level)
    from executor import providers
    from executor.serve import serve

    asyncio.run(
        serve(
            settings,
            take_turn=partial(providers.take_turn, settings, environment),
            declare_providers=partial(providers.declare_providers, settings, environment),
            prepare=providers.load_drivers,
        )
    )


def print_providers() -> None:
    from executor.providers import declare_providers

    declared = declare_providers(read_settings(ProviderSettings), dict(os.environ))
    sys.stdout.write(json.dumps([one.to_json() for one in declared], indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
