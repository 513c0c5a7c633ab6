"""The secret key of this clone, its predecessor while it is being changed, and the check before a start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

import psycopg

from cli.local.data_dir import CLONE, DataDir
from cli.local.own_secrets import hidden_names
from cli.local.supervisor import StartFailed
from handlers.access.secret_key import other_key_uses
from schema.sealed_environment import BadSecretFile, sealed, secrets_from_files
from schema.secret_keys import SecretKeys
from schema.signature import parse_secret

NAME, PREVIOUS_NAME = "RUNYARD_SECRET_KEY", "RUNYARD_SECRET_KEY_PREVIOUS"
CHECK_SECONDS = 120.0
UNFIT = 2


class KeyRefused(Exception):
    """The secret key does not fit what is running, or that could not be checked; the message says what to do."""


def key_environment(data_dir: DataDir, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the secret key and, while it is being changed, of the previous one. Raise StartFailed."""
    try:
        named = {**environ, **secrets_from_files(environ, [PREVIOUS_NAME])}
    except BadSecretFile as error:
        raise StartFailed(error.detail) from None
    previous = named.get(PREVIOUS_NAME) or _text_of(data_dir)
    return {NAME: data_dir.secret.read_text().strip(), **({PREVIOUS_NAME: previous} if previous else {})}


def check_secret_key(env: Mapping[str, str], *, accept_loss: bool, say: Callable[[str], None]) -> None:
    """Raise KeyRefused when the key does not fit what is running; with `accept_loss`, say what is lost.

    The job worker's own check knows the host; it costs a process, so it only runs when a row names another key.
    """
    try:
        previous = env.get(PREVIOUS_NAME)
        keys = SecretKeys(parse_secret(env[NAME]), parse_secret(previous) if previous else None)
    except ValueError as error:
        raise KeyRefused(f"{NAME} or {PREVIOUS_NAME} is invalid: it {error}.") from None
    command = [sys.executable, "-m", "jobs", "check-key", *(["--accept-loss"] if accept_loss else [])]
    try:
        with psycopg.connect(env["DATABASE_URL"]) as conn:
            if not other_key_uses(conn, keys.ids):
                return
        with sealed(env, hidden_names(env)) as (rest, descriptor):
            done = subprocess.run(
                command, cwd=CLONE, env=rest, pass_fds=[descriptor], capture_output=True, text=True,
                timeout=CHECK_SECONDS, check=False,
            )  # fmt: skip
    except (psycopg.OperationalError, subprocess.TimeoutExpired) as error:
        raise KeyRefused(f"{NAME} could not be checked: {error}") from None
    if done.returncode == UNFIT:
        raise KeyRefused(done.stderr.strip())
    if done.returncode != 0:
        raise KeyRefused(f"{NAME} could not be checked: {''.join(done.stderr.strip().splitlines()[-1:])}")
    if done.stdout:
        say(done.stdout.strip())


def _text_of(data_dir: DataDir) -> str:
    try:
        return data_dir.previous_secret.read_text().strip()
    except FileNotFoundError:
        return ""
