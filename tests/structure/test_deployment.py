"""The files that deploy Runyard name what exists: handlers, modules, settings, copied folders."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest
import yaml

from jobs.hosts.compose import API
from jobs.hosts.deployment import NETWORK_OPTIONS, STOP_ALL_SECONDS, STOP_SECONDS
from jobs.job_worker import FORCE_SECONDS
from schema.sealed_environment import CONTROL_PLANE_SECRETS
from tests.structure.repository import PACKAGES, ROOT
from tests.structure.settings import direct_reads, fields

SECRETS = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")
SUCCEEDED = "service_completed_successfully"
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
    assert given <= set(fields()) | direct_reads() | {f"{name}_FILE" for name in CONTROL_PLANE_SECRETS}


def test_every_service_takes_further_settings_and_only_the_worker_what_agents_sign_in_with(
    compose: dict[str, Any],
) -> None:
    read = {name: [file["path"] for file in service["env_file"]] for name, service in own_services(compose).items()}
    assert read == {"migrate": ["runyard.env"], "api": ["runyard.env"], "worker": ["runyard.env", "agents.env"]}


def test_secrets_come_from_outside(compose: dict[str, Any], serverless: dict[str, Any]) -> None:
    environments = [service.get("environment", {}) for service in compose["services"].values()]
    for environment in [*environments, serverless["provider"]["environment"]]:
        for name, value in environment.items():
            if value and SECRETS.search(name) and not name.endswith("_FILE"):
                assert FROM_OUTSIDE.match(str(value)), name


def test_no_service_of_compose_holds_a_secret_in_its_environment(compose: dict[str, Any]) -> None:
    open_secrets = [
        (service, name)
        for service, told in compose["services"].items()
        for name, value in told["environment"].items()
        if value and SECRETS.search(name) and not name.endswith("_FILE")
    ]
    assert open_secrets == []


def test_services_are_given_files_that_hold_their_secrets(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        given = {value for value in service["environment"].values() if str(value).startswith("/run/secrets/")}
        secrets = [secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])]
        held = {f"/run/secrets/{secret}" for secret in secrets}
        held |= {config["target"] for config in service.get("configs", [])}
        assert given == held, name
        assert set(secrets) <= set(compose["secrets"]), name
        assert {config["source"] for config in service.get("configs", [])} <= set(compose["configs"]), name


def test_a_secret_that_comes_by_file_is_empty_in_the_environment(compose: dict[str, Any]) -> None:
    """Otherwise one of the same name in runyard.env would stand beside the file, and nothing would start."""
    for service in own_services(compose).values():
        told = service["environment"]
        by_file = [name for name in CONTROL_PLANE_SECRETS if f"{name}_FILE" in told]
        assert by_file
        assert {name: told.get(name) for name in by_file} == dict.fromkeys(by_file, "")


def test_images_of_others_are_pinned_by_digest(compose: dict[str, Any]) -> None:
    named = {name: service["image"] for name, service in compose["services"].items() if "build" not in service}
    assert set(named) == {"postgres", "store"}
    assert [name for name, image in named.items() if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}\}$", image)] == []


def test_ports_are_published_on_loopback_and_two_at_the_workers_gateway(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    beyond = [port.rpartition(":")[2] for port in published if not port.startswith("127.0.0.1:")]
    assert len(published) > len(beyond)
    assert sorted(beyond) == ["8081", "9000"]
    assert compose["services"]["api"]["environment"]["RUNYARD_WORKER_BIND"].endswith(":8081")


def test_nothing_starts_before_the_migrations_are_applied(compose: dict[str, Any]) -> None:
    for name, service in own_services(compose).items():
        waits_for = {other: how["condition"] for other, how in service["depends_on"].items()}
        before, how = ("postgres", "service_healthy") if name == "migrate" else ("migrate", SUCCEEDED)
        assert waits_for.pop(before) == how
        assert waits_for == ({"worker": "service_started"} if name == "api" else {})


def test_services_run_modules_that_exist(compose: dict[str, Any]) -> None:
    for service in own_services(compose).values():
        program, *arguments = service["command"]
        module = arguments[1] if program == "python" else arguments[-1].partition(":")[0]
        assert importlib.util.find_spec(module) is not None, module


def test_executors_call_back_to_the_port_that_is_published_for_them(compose: dict[str, Any]) -> None:
    url = compose["services"]["worker"]["environment"]["RUNYARD_CALLBACK_URL"].removeprefix("http://")
    assert f"{url}:8081" in compose["services"]["api"]["ports"]


def test_volumes_are_declared(compose: dict[str, Any]) -> None:
    used = {
        volume.partition(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    }
    used = {name for name in used if not name.startswith("$")}
    assert used == set(compose["volumes"])


def test_the_image_holds_every_package_and_nothing_that_git_ignores() -> None:
    copied = re.findall(r"^COPY (\S+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(PACKAGES) <= set(copied)
    assert all((ROOT / name).exists() for name in copied)
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(allowed) == set(copied)


def test_only_the_job_worker_has_the_engines_socket(compose: dict[str, Any]) -> None:
    holders = [name for name, one in compose["services"].items() if "docker.sock" in str(one.get("volumes"))]
    assert holders == ["worker"]


def test_the_network_is_the_one_that_the_job_worker_would_make(compose: dict[str, Any]) -> None:
    network, told = compose["networks"]["workers"], compose["services"]["worker"]["environment"]
    assert network["name"] == f"{told['WORKER_DEPLOYMENT']}-workers"
    assert network["driver_opts"] == NETWORK_OPTIONS


def test_the_job_worker_ends_session_workers_once_compose_has_ended_the_api(compose: dict[str, Any]) -> None:
    assert compose["services"]["worker"]["environment"]["WORKER_COMPOSE_PROJECT"] == "${COMPOSE_PROJECT_NAME}"
    assert API in own_services(compose)
    assert "worker" in own_services(compose)[API]["depends_on"]


def test_compose_gives_the_job_worker_the_time_that_ending_all_session_workers_takes(compose: dict[str, Any]) -> None:
    given = float(compose["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert given > FORCE_SECONDS + STOP_ALL_SECONDS + STOP_SECONDS
