"""The files that deploy Runyard name what exists: handlers, modules, settings, copied folders."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest
import yaml

from jobs.hosts.deployment import NETWORK_OPTIONS
from tests.structure.repository import PACKAGES, ROOT
from tests.structure.settings import direct_reads, fields

SECRETS = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")
FROM_OUTSIDE = re.compile(r"\$\{(env:)?\w+")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


@pytest.fixture(scope="module")
def serverless() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "serverless.yml").read_text())
    return parsed


def own_services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if "build" in service}


def test_functions_handlers_can_be_imported(serverless: dict[str, Any]) -> None:
    for function in serverless["functions"].values():
        module, _, name = function["handler"].rpartition(".")
        assert importlib.util.find_spec(module) is not None, module
        tree = (ROOT / (module.replace(".", "/") + ".py")).read_text()
        assert re.search(rf"^(def {name}\b|{name}\b)", tree, re.MULTILINE), function["handler"]


def test_a_function_gives_up_before_its_gateway(serverless: dict[str, Any]) -> None:
    assert all(function["timeout"] < 30 for function in serverless["functions"].values())


def test_functions_are_given_only_settings_that_exist(serverless: dict[str, Any]) -> None:
    assert set(serverless["provider"]["environment"]) <= set(fields()) | direct_reads()


def test_services_are_given_only_settings_that_exist(compose: dict[str, Any]) -> None:
    given = {name for service in own_services(compose).values() for name in service["environment"]}
    assert given <= set(fields()) | direct_reads()


def test_every_service_takes_further_settings_and_only_the_worker_what_agents_sign_in_with(
    compose: dict[str, Any],
) -> None:
    read = {name: [file["path"] for file in service["env_file"]] for name, service in own_services(compose).items()}
    assert read == {"migrate": ["runyard.env"], "api": ["runyard.env"], "worker": ["runyard.env", "agents.env"]}


def test_secrets_come_from_outside(compose: dict[str, Any], serverless: dict[str, Any]) -> None:
    environments = [service.get("environment", {}) for service in compose["services"].values()]
    for environment in [*environments, serverless["provider"]["environment"]]:
        for name, value in environment.items():
            assert not SECRETS.search(name) or FROM_OUTSIDE.match(str(value)), name


def test_images_of_others_are_pinned_by_digest(compose: dict[str, Any]) -> None:
    named = {name: service["image"] for name, service in compose["services"].items() if "build" not in service}
    assert set(named) == {"postgres", "store"}
    assert [name for name, image in named.items() if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}\}$", image)] == []


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_nothing_starts_before_the_migrations_are_applied(compose: dict[str, Any]) -> None:
    for name, service in own_services(compose).items():
        waits_for = {other: how["condition"] for other, how in service["depends_on"].items()}
        expected = "service_healthy" if name == "migrate" else "service_completed_successfully"
        assert waits_for == {"postgres" if name == "migrate" else "migrate": expected}


def test_services_run_modules_that_exist(compose: dict[str, Any]) -> None:
    for service in own_services(compose).values():
        program, *arguments = service["command"]
        module = arguments[1] if program == "python" else arguments[-1].partition(":")[0]
        assert importlib.util.find_spec(module) is not None, module


def test_executors_call_back_to_the_service_that_listens(compose: dict[str, Any]) -> None:
    host, _, port = (
        compose["services"]["worker"]["environment"]["RUNYARD_CALLBACK_URL"].removeprefix("http://").partition(":")
    )
    assert compose["services"][host]["ports"][0].endswith(f":{port}")


def test_volumes_are_declared(compose: dict[str, Any]) -> None:
    used = {
        volume.partition(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    }
    assert used == set(compose["volumes"])


def test_the_image_holds_every_package_and_nothing_that_git_ignores() -> None:
    copied = re.findall(r"^COPY (\S+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(PACKAGES) <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(allowed) == set(copied)


@pytest.fixture(scope="module")
def docker_workers() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.docker-workers.yml").read_text())
    return parsed


def test_docker_workers_change_services_that_exist_by_settings_that_exist(
    compose: dict[str, Any], docker_workers: dict[str, Any]
) -> None:
    services = docker_workers["services"]
    assert set(services) - set(compose["services"]) == {"network"}
    given = {name for service in services.values() for name in service.get("environment", {})}
    assert given <= set(fields()) | direct_reads()


def test_only_the_job_worker_has_the_engines_socket(docker_workers: dict[str, Any]) -> None:
    holders = [name for name, one in docker_workers["services"].items() if "docker.sock" in str(one.get("volumes"))]
    assert holders == ["worker"]


def test_docker_workers_find_only_the_door_and_the_store_at_their_gateway(docker_workers: dict[str, Any]) -> None:
    published = [port for one in docker_workers["services"].values() for port in one.get("ports", [])]
    beyond = [port.rpartition("}:")[2] for port in published if not port.startswith("127.0.0.1:")]
    assert sorted(beyond) == ["8081:8081", "9000:9000"]
    assert docker_workers["services"]["api"]["environment"]["RUNYARD_WORKER_BIND"].endswith(":8081")


def test_the_network_is_the_one_that_the_job_worker_would_make(docker_workers: dict[str, Any]) -> None:
    network = docker_workers["networks"]["workers"]
    deployment = docker_workers["services"]["worker"]["environment"]["WORKER_DEPLOYMENT"]
    assert network["name"] == f"{deployment}-workers"
    assert network["driver_opts"] == NETWORK_OPTIONS
