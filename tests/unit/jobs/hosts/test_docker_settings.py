"""What the Docker host is told: where workers may be published, what is cut off, which limits hold."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jobs.hosts.settings import read_docker_settings
from schema.settings import BadSetting
from schema.worker_limits import MEBIBYTE
from tests.structure.repository import ROOT


def test_without_any_setting_workers_are_limited_and_cut_off_from_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXECUTOR_IMAGE", raising=False)
    found = read_docker_settings()
    assert (found.executor_image, found.worker_publish_address) == ("runyard-executor", "127.0.0.1")
    assert found.worker_cut_off == ("169.254.0.0/16",)
    assert found.limits.memory_bytes == 4096 * MEBIBYTE
    assert None not in (found.limits.cpus, found.limits.processes, found.limits.disk_bytes)


def test_several_networks_can_be_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_CUT_OFF", "169.254.0.0/16, 10.0.0.0/8")
    assert read_docker_settings().worker_cut_off == ("169.254.0.0/16", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_PUBLISH_ADDRESS", "0.0.0.0"),
        ("WORKER_PUBLISH_ADDRESS", "8.8.8.8"),
        ("WORKER_PUBLISH_ADDRESS", "anywhere"),
        ("WORKER_CUT_OFF", "169.254.1.1/16"),
        ("WORKER_SUBNET", "all of it"),
        ("WORKER_DEPLOYMENT", "Not A Label"),
        ("WORKER_MEMORY_MIB", "1"),
        ("WORKER_MEMORY_MIB", "9999999999"),
        ("WORKER_PROCESSES", "9999999999"),
        ("WORKER_DISK_MIB", "9999999999"),
    ],
)
def test_what_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as refused:
        read_docker_settings()
    assert refused.value.detail.startswith(f"{name}: ")


@pytest.mark.parametrize("command", [[], ["doctor"]])
def test_the_job_worker_refuses_it_with_one_sentence(command: list[str]) -> None:
    environ = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "RUNYARD_SECRET_KEY": "ab" * 32, "WORKER_HOST": "docker"}
    done = subprocess.run(
        [sys.executable, "-m", "jobs", *command],
        env={**os.environ, **environ, "RUNYARD_WITHOUT_STORE": "1", "WORKER_CPUS": "many"},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("WORKER_CPUS: input should be a valid number")
    assert "Traceback" not in done.stderr
