# ruff: noqa: N999  gunicorn names this file
"""Configure gunicorn: one process, many threads, loopback. Command-line options override this file."""

from typing import Any

from functions.runtime.serving import JsonLogger, begin, finish, refuse_beyond_loopback, settings_or_exit

_settings = settings_or_exit()

bind = [
    f"127.0.0.1:{_settings.port}",
    *([":".join(map(str, _settings.worker_address))] if _settings.worker_address else []),
]
worker_class = "gthread"
workers = 1
threads = _settings.api_threads
# Fewer stream slots than threads exist, so further connections wait for short requests only.
worker_connections = _settings.api_threads + 256
keepalive = 15
timeout = 60
graceful_timeout = 10
logger_class = JsonLogger
accesslog = None
# Each clone has its own socket or none. gunicorn's default is one in the home folder, shared by all clones.
control_socket = str(_settings.data_dir / "gunicorn.ctl") if _settings.data_dir else ""
control_socket_disable = _settings.data_dir is None


def on_starting(server: Any) -> None:
    refuse_beyond_loopback(_settings, server.cfg.address)


def post_worker_init(worker: Any) -> None:
    begin(worker)


def worker_exit(_server: Any, worker: Any) -> None:
    finish(worker)
