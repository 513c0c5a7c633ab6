"""The job worker's settings: what is derived, and the one sentence about what cannot be used."""

from __future__ import annotations

import pytest
from pydantic.fields import FieldInfo

from jobs.runtime.dropped_settings import dropped_settings
from jobs.runtime.settings import JobSettings, read_settings
from schema.settings import BadSetting

ENVIRONMENT = {"DATABASE_URL": "postgresql:///runyard", "RUNYARD_SECRET_KEY": "ab" * 32, "S3_BUCKET": "runyard"}

DATABASE = "postgresql://user:password@host:port/name."
TOO_MUCH = "input should be less than or equal to 315360000."
ADDRESSES = (
    "RUNYARD_PUBLIC_URL",
    "RUNYARD_CALLBACK_URL",
    "EXECUTOR_BASE_URL",
    "S3_ENDPOINT_URL",
    "S3_WORKER_ENDPOINT_URL",
)


def is_number(field: FieldInfo) -> bool:
    return field.annotation in (int, float)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in JobSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_the_job_worker_goes_past_a_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_POOLER", "transaction")
    with pytest.raises(BadSetting, match=r"^DATABASE_POOLER=transaction needs DATABASE_DIRECT_URL"):
        read_settings()
    monkeypatch.setenv("DATABASE_DIRECT_URL", "postgresql:///past")
    assert read_settings().dsn == "postgresql:///past"


def test_the_least_that_is_needed_is_enough() -> None:
    settings = read_settings()
    assert settings.runyard_secret_key == b"\xab" * 32
    assert settings.callback_url == "http://127.0.0.1:8080"
    assert ":" in settings.owner


def test_callbacks_go_to_the_address_that_executors_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNYARD_PUBLIC_URL", "https://runyard.example/")
    assert read_settings().callback_url == "https://runyard.example"
    monkeypatch.setenv("RUNYARD_CALLBACK_URL", "http://api:8080")
    assert read_settings().callback_url == "http://api:8080"


def test_the_codes_to_retry_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTOR_RETRY_STATUS_CODES", "500, 503")
    assert read_settings().executor_retry_status_codes == (500, 503)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", None, "DATABASE_URL is not set."),
        ("RUNYARD_SECRET_KEY", "xyz", "RUNYARD_SECRET_KEY: must be hexadecimal digits."),
        ("RUNYARD_SECRET_KEY", "abcd", "RUNYARD_SECRET_KEY: must hold at least 32 bytes, so 64 hexadecimal digits."),
        ("DATABASE_URL", "postgres//me:secret@db/x", "DATABASE_URL: must be an address like " + DATABASE),
        *((name, "moon", f"{name}: must be an address like http://127.0.0.1:8080.") for name in ADDRESSES),
        ("S3_ACCESS_KEY_ID", "half", "S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY are set together or not at all."),
        ("WORKER_IDLE_STOP_SECONDS", "inf", "WORKER_IDLE_STOP_SECONDS: " + TOO_MUCH),
        ("WORKER_HOST", "moon", "WORKER_HOST: input should be 'process', 'docker' or 'external'."),
        ("WORKER_HOST", "external", "WORKER_HOST=external needs EXECUTOR_BASE_URL and EXECUTOR_AUTH_TOKEN."),
        ("EXECUTOR_RETRY_STATUS_CODES", "404", "EXECUTOR_RETRY_STATUS_CODES: only 5xx may be retried."),
        (
            "WORKER_REMOVE_AFTER_SECONDS",
            "1e12",
            "WORKER_REMOVE_AFTER_SECONDS: input should be less than or equal to 315360000.",
        ),
        ("EXECUTOR_HEARTBEAT_SECONDS", "0", "EXECUTOR_HEARTBEAT_SECONDS: input should be greater than 0."),
        (
            "EXECUTOR_STOP_GRACE_SECONDS",
            "abc",
            "EXECUTOR_STOP_GRACE_SECONDS: input should be a valid number, unable to parse string as a number.",
        ),
        ("WORKER_CONCURRENCY", "0", "WORKER_CONCURRENCY: input should be greater than or equal to 1."),
    ],
)
def test_a_bad_setting_is_named_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, sentence: str
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as caught:
        read_settings()
    assert caught.value.detail == sentence


@pytest.mark.parametrize("name", [name.upper() for name, field in JobSettings.model_fields.items() if is_number(field)])
def test_every_number_has_a_greatest_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """PostgreSQL's intervals and the system's clocks have theirs; beyond it every use would fail."""
    for value in ("inf", "nan", "9" * 30):
        monkeypatch.setenv(name, value)
        with pytest.raises(BadSetting, match=f"^{name}: input should be"):
            read_settings()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTOR_AUTH_TOKEN", "a-secret-token")
    shown = repr(read_settings())
    assert "a-secret-token" not in shown
    assert "\\xab" not in shown


def test_settings_that_mean_nothing_here_are_named() -> None:
    assert dropped_settings({"CONTROL_PLANE_DOCKER": "true", "PATH": "/bin"}) == [
        "CONTROL_PLANE_DOCKER has no effect: set WORKER_HOST instead."
    ]


def test_a_worker_without_a_store_says_so_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_BUCKET")
    with pytest.raises(BadSetting, match="RUNYARD_WITHOUT_STORE=1"):
        read_settings()
    monkeypatch.setenv("RUNYARD_WITHOUT_STORE", "1")
    assert read_settings().store is None


def test_the_stores_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("S3_SECRET_ACCESS_KEY", "hidden")
    settings = read_settings()
    assert settings.store is not None
    assert settings.store.secret_access_key == "hidden"
    assert "hidden" not in f"{settings!r}{settings.store!r}"


def test_process_workers_are_for_one_person_or_trusted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNYARD_AUTH", "token")
    with pytest.raises(BadSetting) as caught:
        read_settings()
    assert caught.value.detail == (
        "WORKER_HOST=process with RUNYARD_AUTH=token lets every user's agent act as the job worker. Set "
        "WORKER_HOST=docker, or PROCESS_WORKERS=trusted if you trust all users and repositories."
    )

    monkeypatch.setenv("PROCESS_WORKERS", "trusted")
    assert read_settings().worker_host == "process"
    monkeypatch.delenv("PROCESS_WORKERS")
    monkeypatch.setenv("WORKER_HOST", "docker")
    assert read_settings().worker_host == "docker"
