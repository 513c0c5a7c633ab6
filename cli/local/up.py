"""`make up`: run all of Runyard on one machine, from the database to the job worker, until Ctrl-C.

`up` starts nothing while another `up` of this clone runs or while the port is taken. At its end it has stopped all that
it started. The data in `.runyard/` stay for the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256

import psutil

from cli.local.data_dir import (
    DataDir,
    NotPrivate,
    find_data_dir,
    make_data_dir,
    remove_runtime_files,
    write_private,
)
from cli.local.docker_workers import stop_workers, worker_gateway
from cli.local.doctor import DoctorRequests
from cli.local.object_store import (
    has_configured_store,
    reading_environment,
    start_store,
    store_environment,
    store_listens,
)
from cli.local.own_secrets import secret_names
from cli.local.pidfile import (
    NOT_RUNNING,
    AlreadyRunning,
    Running,
    forget_running,
    hold_lock,
    read_running,
    running_settings,
    stop_leftovers,
    told_settings,
    write_running,
)
from cli.local.portal import LOG_NAME, start_build
from cli.local.postgres import (
    PostgresFailed,
    embedded_binaries,
    launch_postgres,
    make_database,
    postgres_dsn,
    stop_stale_server,
)
from cli.local.postgres import is_ready as is_database_ready
from cli.local.postgres_account import NoAccount
from cli.local.processes import last_lines, rotate_log
from cli.local.programs import api_command, environment, job_worker, local_url, program
from cli.local.readiness import has_providers, is_ready
from cli.local.secret_key import KeyRefused, check_secret_key
from cli.local.session_workers import agents, executors
from cli.local.settings_check import check_settings
from cli.local.supervisor import Program, StartFailed, StopRequested, Supervisor, TookTooLong
from schema.shown_secrets import WHAT_TO_DO, secrets_of_ancestors, sentence_of

DEFAULT_PORT = 8080
DATABASE_SECONDS = 120.0
MIGRATION_SECONDS = 120.0
READY_SECONDS = 60.0
STORE_SECONDS = 60.0
PROVIDERS_SECONDS = 20.0
KEY_REFUSED = 2
"""The exit status of a start whose secret key does not fit what is running, which goes on."""


class CannotStart(Exception):
    """Nothing was started; the message is a sentence for the person at the terminal."""


def up(environ: Mapping[str, str] = os.environ, *, accept_loss: bool = False) -> int:
    """Run Runyard until a stop is requested. Return the exit status: 2 when the secret key does not fit."""
    data_dir = find_data_dir(environ)
    try:
        port = port_of(environ)
        refuse_other_users(environ)
        prepare_data_dir(data_dir)
        with hold_lock(data_dir):
            return _run(data_dir, port, environ, accept_loss=accept_loss)
    except AlreadyRunning:
        running = read_running(data_dir)
        where = f" at {running.url} (process {running.pid})" if running else ""
        say(f"Runyard is already running for this clone{where}.")
    except (CannotStart, NotPrivate) as error:
        say(str(error))
    return 1


def json_url(url: str) -> str:
    return json.dumps({"url": url})


def sign_in(environ: Mapping[str, str] = os.environ, *, show: Callable[[str], str] = str) -> int:
    """Print a new one-time sign-in URL, as `show` writes it. Return the exit status."""
    data_dir = find_data_dir(environ)
    running = read_running(data_dir)
    if running is None:
        say(f"{NOT_RUNNING}.")
        return 1
    url = running_settings(data_dir, environ).get("RUNYARD_PUBLIC_URL") or running.url
    say(show(f"{url.rstrip('/')}/sign-in?code={new_sign_in_code(data_dir)}"))
    return 0


def show_database(environ: Mapping[str, str] = os.environ) -> int:
    """Print a shell export of the embedded database's URL, for operators' programs. Return the exit status."""
    say(f"export DATABASE_URL={shlex.quote(postgres_dsn(find_data_dir(environ).postgres))}")
    return 0


def port_of(environ: Mapping[str, str]) -> int:
    text = environ.get("RUNYARD_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStart(f"RUNYARD_PORT is {text!r}. Set it to a number from 1 to 65535.")
    return int(text)


def refuse_other_users(environ: Mapping[str, str]) -> None:
    """Raise CannotStart for any RUNYARD_AUTH but local: `make up` has one user, whose token is a file."""
    if (environ.get("RUNYARD_AUTH") or "local") != "local":
        raise CannotStart(
            "make up has one local administrator, so RUNYARD_AUTH must be local. Unset it, or start each program "
            "as a deployment does (docs/deploying.md)."
        )


def prepare_data_dir(data_dir: DataDir) -> None:
    """Create the data folder and its content. Raise CannotStart, NotPrivate."""
    try:
        make_data_dir(data_dir)
    except OSError as error:
        raise CannotStart(
            f"The data folder {data_dir.root} is not writable: {error.strerror or error}. Choose a folder that you can "
            "write to: RUNYARD_DATA_DIR=... make up"
        ) from error


def say(text: str) -> None:
    """Print for the person at the terminal. A terminal that is closed changes nothing else."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _run(data_dir: DataDir, port: int, environ: Mapping[str, str], *, accept_loss: bool) -> int:
    for name in stop_leftovers(data_dir):
        say(f"stopped the {name} that an earlier start left behind")
    refuse_taken_port(port)
    url = f"http://127.0.0.1:{port}"
    strays = (partial(executors, data_dir), partial(agents, data_dir))
    record = partial(_record, data_dir, url, told_settings(environ))
    supervisor = Supervisor(say=say, on_change=record, strays=strays)
    supervisor.listen_to_signals()
    status = 0
    try:
        _start(supervisor, data_dir, port=port, environ=environ, accept_loss=accept_loss)
        supervisor.watch()
    except StopRequested:
        pass
    except (StartFailed, PostgresFailed, NoAccount, KeyRefused) as error:
        say(str(error))
        status = KEY_REFUSED if isinstance(error, KeyRefused) else 1
    finally:
        say("\nstopping ... (press Ctrl-C again to kill the programs now)")
        supervisor.stop(keep_strays=status == KEY_REFUSED)
        if status != KEY_REFUSED:
            stop_workers(data_dir, environ)
        forget_running(data_dir)
        remove_runtime_files(data_dir, environ)
    left = "the session workers go on" if status == KEY_REFUSED else "no program is left running"
    say(f"stopped; {left}. The data stays in {data_dir.root}")
    return status


def _start(
    supervisor: Supervisor, data_dir: DataDir, *, port: int, environ: Mapping[str, str], accept_loss: bool
) -> None:
    began = time.monotonic()
    for name in ("postgres", "store", "migrations", "api", "worker"):
        rotate_log(data_dir.log(name))
    gateway = worker_gateway(data_dir, environ)
    env = environment(data_dir, port=port, environ=environ, gateway=gateway)
    has_trial_store = not has_configured_store(environ)
    stores = {} if has_trial_store else store_environment(data_dir, environ, gateway=gateway)
    check_settings({**env, **stores}, has_trial_store=has_trial_store)
    if has_trial_store:
        start_store(supervisor, data_dir, gateway=gateway)
    start_database(supervisor, data_dir)
    say(f"database ready in {time.monotonic() - began:.1f} s")
    migrations = program("migrations", [sys.executable, "-m", "schema.migrate"], data_dir=data_dir, env=env)
    supervisor.run_to_end(migrations, seconds=MIGRATION_SECONDS)
    say(f"migrations applied after {time.monotonic() - began:.1f} s")

    if has_trial_store:
        supervisor.wait_until(partial(store_listens, data_dir), seconds=STORE_SECONDS, what="The object store")
        say(f"object store (trial) ready after {time.monotonic() - began:.1f} s")
    code = new_sign_in_code(data_dir)
    worker_env = {**env, **store_environment(data_dir, environ, gateway=gateway)}
    check_secret_key(worker_env, accept_loss=accept_loss, say=say)
    api_env = {**env, **reading_environment(data_dir, environ)}
    supervisor.start(program("api", api_command(data_dir, port, gateway), data_dir=data_dir, env=api_env))
    supervisor.start(job_worker(data_dir, worker_env))
    supervisor.wait_until(partial(is_ready, local_url(port)), seconds=READY_SECONDS, what="The API")
    say(f"API and job worker ready after {time.monotonic() - began:.1f} s")
    if start_build(data_dir.logs / LOG_NAME) is None:
        say("portal ready")
    wait_for_providers(supervisor, data_dir, url=local_url(port))
    supervisor.answer(DoctorRequests(data_dir, worker_env))
    warn_of_shown_secrets(worker_env)
    say(welcome(data_dir, url=env["RUNYARD_PUBLIC_URL"].rstrip("/"), code=code))


def start_database(supervisor: Supervisor, data_dir: DataDir) -> None:
    if stop_stale_server(data_dir.postgres):
        say("stopped the database server that an earlier start left behind")
    log = data_dir.log("postgres")
    launch = partial(launch_postgres, data_dir.postgres, binaries=embedded_binaries(), log=log)
    if not data_dir.postgres.exists():
        say("creating the database in " + str(data_dir.postgres))
    server = supervisor.start(Program("postgres", launch, log=log, stop_signal=signal.SIGINT, last=True))
    ready = partial(is_database_ready, data_dir.postgres, server.pid)
    supervisor.wait_until(ready, seconds=DATABASE_SECONDS, what="The database")
    make_database(data_dir.postgres)


def wait_for_providers(supervisor: Supervisor, data_dir: DataDir, *, url: str) -> None:
    """Wait for a provider, which the first prompt needs. Go on without one: the file can be corrected later."""
    try:
        supervisor.wait_until(partial(has_providers, data_dir, url), seconds=PROVIDERS_SECONDS, what="A provider")
    except TookTooLong:
        log = data_dir.log("worker")
        say(f"no provider is available yet; see {log}. Its end:\n{last_lines(log)}")


def warn_of_shown_secrets(env: Mapping[str, str]) -> None:
    """Say which secrets agents can read in the environment of what started `up`. Workers in containers cannot."""
    if env["WORKER_HOST"] == "process" and (secrets := secrets_of_ancestors(secret_names(env))):
        say(f"{sentence_of(secrets)} {WHAT_TO_DO}")


def refuse_taken_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise CannotStart(
                f"This user may not use port {port}. Choose another: RUNYARD_PORT=8081 make up"
            ) from error
        except OSError as error:
            other = 8081 if port == DEFAULT_PORT else port + 1
            raise CannotStart(
                f"Port {port} is taken by another program on this machine. Choose another: RUNYARD_PORT={other} make up"
            ) from error


def new_sign_in_code(data_dir: DataDir) -> str:
    """Create a one-time code and write its digest to a file. The API accepts the code once."""
    code = secrets.token_urlsafe(24)
    write_private(data_dir.sign_in_code, sha256(code.encode()).hexdigest())
    return code


def welcome(data_dir: DataDir, *, url: str, code: str) -> str:
    return (
        f"\nRunyard is ready:  {url}/sign-in?code={code}\n"
        "(the URL signs in one browser, once)\n\n"
        "Send a first prompt from another terminal:  make chat\n"
        f"Stop with Ctrl-C. Data: {data_dir.root}  Logs: {data_dir.logs}"
    )


def _record(data_dir: DataDir, url: str, settings: Mapping[str, str], pids: Mapping[str, int]) -> None:
    children = {name: (pid, psutil.Process(pid).create_time()) for name, pid in pids.items()}
    write_running(data_dir, Running(pid=os.getpid(), url=url, children=children, settings=settings))
