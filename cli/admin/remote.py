"""Run a command over the API, and print a refusal as a sentence."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.chat.client import Api, ChatError
from cli.chat.command import api_of

if TYPE_CHECKING:
    from cli.commands import Commands

RemoteVerb = Callable[[Api, argparse.Namespace], int]


def add_remote_verb(verbs: Commands, name: str, about: str, run: RemoteVerb) -> argparse.ArgumentParser:
    """Add a command that `run` performs over the API; its exit status is 1 when the API refuses."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run=lambda args: run_over_api(run, args))
    return parser


def run_over_api(run: RemoteVerb, args: argparse.Namespace) -> int:
    """Run the command and return its exit status; 1 when the API refuses or a file cannot be used."""
    try:
        return run(api_of(os.environ), args)
    except ChatError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    return 1
