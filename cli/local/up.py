"""`make up`: the whole of Runyard on one machine, from the database to the job worker, until Ctrl-C.

Nothing is started while another `up` of this clone runs or the port is taken. Everything that was started is gone when
this ends; the data in `.runyard/` stay for the next start.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path

import psutil

from cli.local.data_dir import CLONE, DataDir, NotPrivate, find_places, make_places, write_private
from cli.local.docker_workers import stop_workers, worker_environment, worker_gateway
from cli.local.object_store import brings_own_store, start_store, store_environment, store_listens, without_store
from cli.local.pidfile import (
    AlreadyRunning,
    Running,
    forget_running,
    hold_lock,
    read_running,
    stop_leftovers,
    told,
    write_running,
)
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
from cli.local.processes import last_lines, rotate_log, spawn
from cli.local.session_workers import agents, executors
from cli.local.supervisor import Program, StartFailed, StopAsked, Supervisor, TookTooLong
from schema.wire import Json

DEFAULT_PORT = 8080
DATABASE_SECONDS = 120.0
MIGRATION_SECONDS = 120.0
READY_SECONDS = 60.0
STORE_SECONDS = 60.0
PROVIDERS_SECONDS = 20.0


class CannotStart(Exception):
    """A sentence for the person at the terminal: nothing was started."""


def up(environ: Mapping[str, str] = os.environ) -> int:
    """Run until asked to stop; the exit status."""
    places = find_places(environ)
    try:
        port = port_of(environ)
        refuse_other_users(environ)
        keep_data(places)
        with hold_lock(places):
            return _run(places, port, environ)
    except AlreadyRunning:
        running = read_running(places)
        where = f" at {running.url} (process {running.pid})" if running else ""
        say(f"Runyard is running already for this clone{where}.")
    except (CannotStart, NotPrivate) as error:
        say(str(error))
    return 1


def sign_in(environ: Mapping[str, str] = os.environ) -> int:
    """Print a fresh address for one more browser; the exit status."""
    places = find_places(environ)
    running = read_running(places)
    if running is None:
        say("Runyard is not running for this clone: start it with make up.")
        return 1
    url = told(places, environ).get("RUNYARD_PUBLIC_URL") or running.url
    say(f"{url.rstrip('/')}/sign-in?code={new_sign_in_code(places)}")
    return 0


def show_database(environ: Mapping[str, str] = os.environ) -> int:
    """Print the embedded database's address as a shell takes it, for operators' own programs; the exit status."""
    say(f"export DATABASE_URL={shlex.quote(postgres_dsn(find_places(environ).postgres))}")
    return 0


def port_of(environ: Mapping[str, str]) -> int:
    text = environ.get("RUNYARD_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStart(f"RUNYARD_PORT is {text!r}, but a port is a number from 1 to 65535.")
    return int(text)


def refuse_other_users(environ: Mapping[str, str]) -> None:
    """There is one user here, whose token is a file. Raises CannotStart."""
    if (environ.get("RUNYARD_AUTH") or "local") != "local":
        raise CannotStart(
            "make up has one local administrator, so RUNYARD_AUTH can only be local here. Unset it, or start the parts "
            "as a deployment does (README: Deploy)."
        )


def keep_data(places: DataDir) -> None:
    """Make the data folder and what is in it. Raises CannotStart, NotPrivate."""
    try:
        make_places(places)
    except OSError as error:
        raise CannotStart(
            f"The data cannot be kept in {places.root}: {error.strerror or error}. Choose a folder that is yours to "
            "write to: RUNYARD_DATA_DIR=... make up"
        ) from error


def say(text: str) -> None:
    print(text, flush=True)


def _run(places: DataDir, port: int, environ: Mapping[str, str]) -> int:
    for name in stop_leftovers(places):
        say(f"stopped the {name} that an earlier start left behind")
    refuse_taken_port(port)
    url = f"http://127.0.0.1:{port}"
    strays = (partial(executors, places), partial(agents, places))
    supervisor = Supervisor(say=say, on_change=partial(_record, places, url), strays=strays)
    supervisor.listen_to_signals()
    status = 0
    try:
        _start(supervisor, places, port=port, environ=environ)
        supervisor.watch()
    except StopAsked:
        pass
    except (StartFailed, PostgresFailed, NoAccount) as error:
        say(str(error))
        status = 1
    finally:
        say("\nstopping ... (Ctrl-C again: at once)")
        supervisor.stop()
        stop_workers(places, environ)
        forget_running(places)
        shutil.rmtree(places.sockets, ignore_errors=True)
    say(f"stopped; nothing is left running. The data are kept in {places.root}")
    return status


def _start(supervisor: Supervisor, places: DataDir, *, port: int, environ: Mapping[str, str]) -> None:
    began = time.monotonic()
    for name in ("postgres", "store", "migrations", "api", "worker"):
        rotate_log(places.log(name))
    gateway = worker_gateway(places, environ)
    if has_trial_store := not brings_own_store(environ):
        start_store(supervisor, places, gateway=gateway)
    start_database(supervisor, places)
    say(f"database ready in {time.monotonic() - began:.1f} s")

    env = environment(places, port=port, environ=environ, gateway=gateway)
    migrations = program("migrations", [sys.executable, "-m", "schema.migrate"], places=places, env=env)
    supervisor.run_to_end(migrations, seconds=MIGRATION_SECONDS)
    say(f"migrations applied after {time.monotonic() - began:.1f} s")

    if has_trial_store:
        supervisor.wait_until(partial(store_listens, places), seconds=STORE_SECONDS, what="The object store")
        say(f"object store (for trying out) ready after {time.monotonic() - began:.1f} s")
    code = new_sign_in_code(places)
    worker_env = {**env, **store_environment(places, environ, gateway=gateway)}
    supervisor.start(program("api", _api_command(places, port, gateway), places=places, env=env))
    supervisor.start(program("worker", [sys.executable, "-m", "jobs"], places=places, env=worker_env))
    supervisor.wait_until(partial(is_ready, _url(port)), seconds=READY_SECONDS, what="The API")
    say(f"API and job worker ready after {time.monotonic() - began:.1f} s")
    wait_for_providers(supervisor, places, url=_url(port))
    say(welcome(places, url=env["RUNYARD_PUBLIC_URL"].rstrip("/"), code=code))


def start_database(supervisor: Supervisor, places: DataDir) -> None:
    if stop_stale_server(places.postgres):
        say("stopped the database server that an earlier start left behind")
    log = places.log("postgres")
    launch = partial(launch_postgres, places.postgres, binaries=embedded_binaries(), log=log)
    if not places.postgres.exists():
        say("making the database in " + str(places.postgres))
    server = supervisor.start(Program("postgres", launch, log=log, stop_signal=signal.SIGINT, last=True))
    ready = partial(is_database_ready, places.postgres, server.pid)
    supervisor.wait_until(ready, seconds=DATABASE_SECONDS, what="The database")
    make_database(places.postgres)


def wait_for_providers(supervisor: Supervisor, places: DataDir, *, url: str) -> None:
    """The first prompt needs one. A providers file that cannot be read is no reason to stop: it can be mended later."""
    try:
        supervisor.wait_until(partial(has_providers, places, url), seconds=PROVIDERS_SECONDS, what="A provider")
    except TookTooLong:
        log = places.log("worker")
        say(f"no provider is there yet; {log} says why. The end of it:\n{last_lines(log)}")


def environment(
    places: DataDir, *, port: int, environ: Mapping[str, str], gateway: str | None = None
) -> dict[str, str]:
    """What the children are told. PG* settings of the shell would lead them to another database: they are left out."""
    kept = {name: value for name, value in without_store(environ).items() if not name.startswith("PG")}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
        "DATABASE_URL": postgres_dsn(places.postgres),
        "RUNYARD_SECRET_KEY": places.secret.read_text().strip(),
        "RUNYARD_LOCAL_TOKEN_FILE": str(places.token),
        "RUNYARD_SIGN_IN_CODE_FILE": str(places.sign_in_code),
        "RUNYARD_PUBLIC_URL": kept.get("RUNYARD_PUBLIC_URL") or _url(port),
        "RUNYARD_CALLBACK_URL": kept.get("RUNYARD_CALLBACK_URL") or _url(port),
        "RUNYARD_PORT": str(port),
        "RUNYARD_DATA_DIR": str(places.root),
        **worker_environment(places, environ, gateway=gateway, port=port),
        "PROVIDERS_FILE": kept.get("PROVIDERS_FILE") or str(CLONE / "providers.toml"),
        "AGENTS_DIR": kept.get("AGENTS_DIR") or str(places.agents),
        "PYTHONUNBUFFERED": "1",
    }


def program(name: str, command: list[str], *, places: DataDir, env: Mapping[str, str]) -> Program:
    log = places.log(name)
    return Program(name, partial(_spawn, command, log, env), log=log)


def _spawn(command: list[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return spawn(command, log=log, env=env, cwd=CLONE)


def _api_command(places: DataDir, port: int, gateway: str | None) -> list[str]:
    """The control socket is this clone's own; gunicorn's default is one in the home folder, shared by all."""
    return [
        *(sys.executable, "-m", "gunicorn", "-c", "functions/gunicorn.conf.py"),
        *(("--bind", f"{gateway}:{port}") if gateway else ()),
        *("--bind", f"127.0.0.1:{port}", "--control-socket", str(places.sockets / "gunicorn.ctl")),
        "functions.wsgi:app",
    ]


def refuse_taken_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise CannotStart(f"Port {port} is not ours to use. Choose another: RUNYARD_PORT=8081 make up") from error
        except OSError as error:
            other = 8081 if port == DEFAULT_PORT else port + 1
            raise CannotStart(
                f"Port {port} is taken by another program on this machine. Choose another: RUNYARD_PORT={other} make up"
            ) from error


def is_ready(url: str) -> bool:
    """The API serves requests, and the job worker has said that it is there."""
    return _get(f"{url}/ready").get("worker") == "ok"


def has_providers(places: DataDir, url: str) -> bool:
    return bool(_get(f"{url}/api/providers", token=places.token.read_text().strip()).get("items"))


def _get(address: str, *, token: str | None = None) -> Json:
    """The JSON object there; empty as long as the answer is another, or none."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=5) as answer:  # noqa: S310
            found: Json = json.load(answer)
            return found
    except (OSError, ValueError):
        return {}


def new_sign_in_code(places: DataDir) -> str:
    """A one-time code; the API finds its digest in a file and accepts the code once."""
    code = secrets.token_urlsafe(24)
    write_private(places.sign_in_code, sha256(code.encode()).hexdigest())
    return code


def welcome(places: DataDir, *, url: str, code: str) -> str:
    return (
        f"\nRunyard is ready:  {url}/sign-in?code={code}\n"
        "(the address signs one browser in, once)\n\n"
        "Send a first prompt from another terminal:  make chat\n"
        f"Stop with Ctrl-C. Data: {places.root}  Logs: {places.logs}"
    )


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _record(places: DataDir, url: str, pids: Mapping[str, int]) -> None:
    children = {name: (pid, psutil.Process(pid).create_time()) for name, pid in pids.items()}
    write_running(places, Running(pid=os.getpid(), url=url, children=children))
