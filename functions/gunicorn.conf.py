# ruff: noqa: N999  gunicorn names this file
"""Configure gunicorn: one process, many threads, loopback. Command-line options override this file."""

from typing import Any

from schema.sealed_environment import CONTROL_PLANE_SECRETS, seal_or_exit, unseal

seal_or_exit(CONTROL_PLANE_SECRETS)  # before slow imports: until then the environment is readable

from functions.runtime.ports import most_peers, raise_open_files  # noqa: E402
from functions.runtime.serving import (  # noqa: E402
    JsonLogger,
    begin,
    finish,
    refuse_beyond_loopback,
    refuse_unfit_database,
    refuse_unfit_key,
    refuse_what_the_door_cannot,
    settings_or_exit,
)

_settings = settings_or_exit()

bind = [
    f"127.0.0.1:{_settings.port}",
    *([":".join(map(str, _settings.worker_address))] if _settings.worker_address else []),
]
worker_class = "functions.runtime.door.Door"
workers = 1
threads = _settings.api_threads
# Of each port. Only whole requests take threads, so there may be far more connections than threads.
worker_connections = most_peers(raise_open_files())
keepalive = 15
forwarded_allow_ips = ""  # RUNYARD_TRUSTED_PROXIES says whom the app believes (functions/http/request_guard.py)
limit_request_line = 0  # the door limits the whole head, and a path of a file takes three bytes a byte
timeout = 60
graceful_timeout = 10
logger_class = JsonLogger
accesslog = None
# Each clone has its own socket or none. gunicorn's default is one in the home folder, shared by all clones.
control_socket = str(_settings.data_dir / "gunicorn.ctl") if _settings.data_dir else ""
control_socket_disable = _settings.data_dir is None


def on_starting(server: Any) -> None:
    refuse_what_the_door_cannot(server.cfg)
    refuse_unfit_database(_settings)
    refuse_unfit_key(_settings)
    refuse_beyond_loopback(_settings, server.cfg.address)


def pre_exec(server: Any) -> None:
    """Hand the secrets to the server that replaces this one (SIGUSR2). It seals itself again."""
    unseal(server.cfg.env_orig, CONTROL_PLANE_SECRETS)


def post_worker_init(worker: Any) -> None:
    begin(worker)


def worker_exit(_server: Any, worker: Any) -> None:
    finish(worker)
