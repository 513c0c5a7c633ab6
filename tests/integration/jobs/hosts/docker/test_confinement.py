"""What a hostile agent finds in a worker: its own files, the way to the control plane, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs.hosts.docker import DockerHost
from tests.acceptance.waiting import wait_until
from tests.container_engine import AGENT, deployment, run_in
from tests.integration.jobs.hosts.docker.conftest import LIMITS, MODEL_KEY, host_maker

pytestmark = pytest.mark.docker

BOMB = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"
HOG = "held = []\nwhile True: held.append(bytearray(16 << 20))\n"
KNOCK = """import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
except OSError as error:
    sys.exit(f'{type(error).__name__} {error}')
"""


@dataclass(frozen=True)
class Prison:
    """One worker, which no test of this module ends; what it is and does is asked of `host`."""

    host: DockerHost
    session_id: UUID
    client: Any

    @property
    def name(self) -> str:
        return f"{self.host._settings.deployment}-{self.session_id}-1"

    def run(self, command: str | list[str], *, user: str = AGENT) -> tuple[int, str]:
        return run_in(self.client, self.name, command, user=user)

    def status_of(self, pid: str = "self", *, user: str = AGENT) -> dict[str, str]:
        _, said = self.run(f"cat /proc/{pid}/status", user=user)
        return {name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}

    def is_well(self) -> bool:
        return self.host.facts(self.session_id).state == "alive"

    def processes(self) -> int:
        """Counted from outside: inside there may be no room for one more."""
        return len(self.client.api.top(self.name)["Processes"])

    @property
    def executor(self) -> str:
        """The pid of the executor, which the init has started."""
        told = self.run("grep -lz executor /proc/[0-9]*/cmdline | cut -d/ -f3", user="0")[1].split()
        return next(pid for pid in told if self.status_of(pid, user="0").get("PPid") == "1")


@pytest.fixture(scope="module")
def prison(docker_client: Any) -> Iterator[Prison]:
    with deployment() as name, host_maker() as make:
        one = Prison(make(name), uuid4(), docker_client)
        one.host.ensure_started(one.session_id, 1)
        yield one


def test_neither_agent_nor_executor_has_powers_to_spare(prison: Prison) -> None:
    agent, executor = prison.status_of(), prison.status_of(prison.executor, user="0")
    assert {agent["CapEff"], agent["CapPrm"], agent["CapAmb"]} == {"0" * 16}
    assert int(executor["CapEff"], 16) == 1 << 5 | 1 << 6 | 1 << 7, "KILL, SETGID, SETUID"
    for one in (agent, executor):
        assert (one["NoNewPrivs"], one["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize(
    "command",
    [
        "ls /state",
        "cat /state/spool.sqlite3",
        "ls /run/runyard",
        "cat /run/runyard/providers.json",
        "cat /proc/{pid}/environ",
        "cat /proc/{pid}/maps",
        "ls /proc/{pid}/fd",
        "kill -9 {pid}",
        "touch /opt/runyard/code/executor/new",
        "touch /etc/new",
        "ls /var/run/docker.sock",
        "ls /run/docker.sock",
        "mount -t tmpfs none /mnt",
        "mknod /tmp/disk b 8 0",
    ],
)
def test_an_agent_is_refused_what_confinement_forbids(prison: Prison, command: str) -> None:
    status, said = prison.run(command.replace("{pid}", prison.executor))
    assert status != 0, said


def test_no_program_of_the_image_changes_the_account_of_who_runs_it(prison: Prison) -> None:
    _, said = prison.run(["sh", "-c", "find / -xdev -type f -perm /6000 2>/dev/null"], user="0")
    assert said == ""


def test_no_secret_is_in_anything_that_an_agent_can_read(prison: Prison) -> None:
    status, said = prison.run(f"cat /proc/[0-9]*/environ 2>/dev/null | grep -c {MODEL_KEY}")
    assert (status, said) == (1, "0")


def test_an_agent_can_make_a_sandbox_of_its_own(prison: Prison) -> None:
    command = "unshare --user --map-root-user --mount --pid --fork sh -c 'mount -t tmpfs none /mnt && id -u'"
    assert prison.run(command) == (0, "0")


def test_a_sandbox_gives_no_power_over_the_worker(prison: Prison) -> None:
    for command in ("cat /state/spool.sqlite3", "touch /etc/new", "python -m executor.process.egress 10.9.0.0/16"):
        status, said = prison.run(f"cd /opt/runyard/code && unshare --user --map-root-user {command}")
        assert status != 0, said


@pytest.mark.parametrize(("host_name", "port"), [("169.254.169.254", "80"), ("169.254.170.2", "80")])
def test_the_metadata_address_is_out_of_reach(prison: Prison, host_name: str, port: str) -> None:
    status, said = prison.run(["python", "-c", KNOCK, host_name, port])
    assert (status, "No route to host" in said) == (1, True), said


def test_other_workers_are_out_of_reach(prison: Prison) -> None:
    other = uuid4()
    endpoint = prison.host.ensure_started(other, 1)
    found = prison.client.api.inspect_container(f"{prison.host._settings.deployment}-{other}-1")
    (network,) = found["NetworkSettings"]["Networks"].values()
    published = endpoint.base_url.rpartition(":")[2]
    for address, port in ((network["IPAddress"], "8080"), (network["Gateway"], published)):
        status, said = prison.run(["python", "-c", KNOCK, address, port])
        assert status == 1, said
    prison.host.remove(other)


def test_memory_is_held_to_the_limit_and_the_executor_lives_on(prison: Prison) -> None:
    assert prison.run(["python", "-c", HOG])[0] == 137
    assert prison.is_well()


def test_a_fork_bomb_stays_in_its_container(prison: Prison) -> None:
    prison.client.containers.get(prison.name).exec_run(["python", "-c", BOMB], user=AGENT, detach=True)
    wait_until(lambda: prison.processes() > 60, seconds=30, what=lambda: f"{prison.processes()} processes")
    assert prison.processes() <= (LIMITS.processes or 0)
    wait_until(prison.is_well, seconds=30, what="the executor did not answer beside the bomb")
