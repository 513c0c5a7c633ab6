"""The database of the operator's commands.

It is DATABASE_DIRECT_URL or DATABASE_URL, or else this clone's embedded database, which `make up` must have started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import psycopg

from cli.local.data_dir import DataDir, find_data_dir
from cli.local.postgres import postgres_dsn
from schema.database_poolers import ADDRESSES, named_database
from schema.errors import RunyardError
from schema.sealed_environment import BadSecretFile, secrets_from_files
from schema.sql import Conn

_Answer = TypeVar("_Answer")


class NoDatabase(Exception):
    """DATABASE_URL is unset and the embedded database is not running."""


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return DATABASE_DIRECT_URL or DATABASE_URL, what their files hold, or the embedded database's URL. Raise
    NoDatabase when none exists."""
    try:
        from_files = secrets_from_files(environ, ADDRESSES)
    except BadSecretFile as error:
        raise NoDatabase(error.detail) from None
    return named_database({**environ, **from_files}) or _embedded(find_data_dir(environ))


def in_transaction(verb: Callable[[Conn, argparse.Namespace], _Answer], args: argparse.Namespace) -> _Answer | None:
    """Call the verb in one transaction. Return None, with the reason printed, when it is refused or there is no
    database."""
    try:
        with psycopg.connect(database_url(), connect_timeout=10) as conn:
            return verb(conn, args)
    except RunyardError as error:
        print(error.detail, file=sys.stderr)
    except (psycopg.Error, NoDatabase) as error:
        print(f"The database is unavailable: {error}", file=sys.stderr)
    return None


def _embedded(data_dir: DataDir) -> str:
    if not (data_dir.sockets / ".s.PGSQL.5432").exists():
        raise NoDatabase("the embedded database is not running. Start it with make up, or set DATABASE_URL.")
    return postgres_dsn(data_dir.postgres)
