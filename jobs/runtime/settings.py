"""The job worker's settings, read once, at its entry point. A bad one is a BadSettings with one sentence."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from handlers.runs.handover_text import FEWEST_TOKENS
from jobs.object_store.settings import StoreSettings
from schema.addresses import database_address, web_address
from schema.settings import BadSetting, HeartbeatSeconds, PauseMs, Seconds, StopGraceSeconds, fault_sentence
from schema.signature import parse_secret
from schema.worker_limits import DAY_SECONDS, LONGEST_SECONDS


def _split(given: object) -> object:
    return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given


def _only_server_errors(codes: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 500 <= code <= 599 for code in codes):
        raise ValueError("only 5xx may be retried")
    return codes


def _database(given: object) -> object:
    return database_address(given) if isinstance(given, str) else given


def _secret(given: object) -> bytes:
    return given if isinstance(given, bytes) else parse_secret(str(given))


StatusCodes = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_split), AfterValidator(_only_server_errors)]
WebAddress = Annotated[str, AfterValidator(web_address)]


class JobSettings(BaseSettings):
    """Times carry their unit in the name. `executor_max_retries` counts the calls after the first one; 0 as
    `worker_idle_stop_seconds` or `worker_remove_after_seconds` is never, as a `run_limit` it is none.
    `executor_stop_grace_seconds` and `executor_heartbeat_seconds` are read here to be refused here: executors have them
    from our environment (jobs/hosts/environment.py)."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, BeforeValidator(_database)] = Field(min_length=1)
    runyard_secret_key: Annotated[bytes, BeforeValidator(_secret)] = Field(repr=False)
    runyard_data_dir: Path = Path(".runyard")
    runyard_port: int = Field(default=8080, ge=1, le=65535)
    runyard_public_url: WebAddress | None = None
    runyard_callback_url: WebAddress | None = None
    worker_host: Literal["process", "docker", "external"] = "process"
    worker_idle_stop_seconds: float = Field(default=900, ge=0, le=LONGEST_SECONDS)
    worker_remove_after_seconds: float = Field(default=604_800, ge=0, le=LONGEST_SECONDS)
    worker_concurrency: int = Field(default=16, ge=1, le=500)
    providers_file: Path = Path("providers.toml")
    agents_dir: Path = Path(".runyard/agents")

    run_queue_owner: str = Field(default="", max_length=200)
    run_queue_lock_ms: int = Field(default=60_000, ge=1000, le=1000 * DAY_SECONDS)
    run_queue_retry_delay_ms: PauseMs = 2000
    run_lease_seconds: Seconds = 60
    handover_max_tokens: int = Field(default=8000, ge=FEWEST_TOKENS, le=1_000_000)
    run_limit: int = Field(default=0, ge=0, le=1_000_000)
    run_limit_per_app: int = Field(default=0, ge=0, le=1_000_000)
    run_limit_per_user: int = Field(default=0, ge=0, le=1_000_000)
    reconcile_seconds: int = Field(default=10, ge=1, le=59)

    sync_dirty_seconds: Seconds = 300
    garbage_grace_hours: float = Field(default=24, ge=0, le=LONGEST_SECONDS / 3600)
    message_snapshots_days: int = Field(default=7, ge=0, le=LONGEST_SECONDS // DAY_SECONDS)

    executor_base_url: WebAddress | None = None
    executor_auth_token: SecretStr | None = None
    executor_max_retries: int = Field(default=3, ge=0, le=20)
    executor_retry_delay_ms: PauseMs = 200
    executor_retry_status_codes: StatusCodes = (500, 502, 503, 504)
    executor_timeout_seconds: Seconds = 30
    executor_start_timeout_seconds: Seconds = 60
    executor_spares: int = Field(default=1, ge=0, le=100)
    executor_stop_grace_seconds: StopGraceSeconds = 10
    executor_heartbeat_seconds: HeartbeatSeconds = 5

    s3_endpoint_url: WebAddress | None = None
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    s3_worker_endpoint_url: WebAddress | None = None
    s3_link_seconds: int = Field(default=900, ge=30, le=604_800)
    runyard_without_store: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _external_has_an_address(self) -> JobSettings:
        if self.worker_host == "external" and not all(self.external_executor):
            raise ValueError("WORKER_HOST=external needs EXECUTOR_BASE_URL and EXECUTOR_AUTH_TOKEN")
        return self

    @model_validator(mode="after")
    def _says_where_workspaces_are_saved(self) -> JobSettings:
        if not self.s3_bucket and not self.runyard_without_store:
            raise ValueError(
                "S3_BUCKET says where workspaces are saved (README: Object store). "
                "To run without any saving, and never to stop or remove a worker, set RUNYARD_WITHOUT_STORE=1"
            )
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY are set together or not at all")
        return self

    @property
    def store(self) -> StoreSettings | None:
        """None when nothing is to be saved."""
        if self.runyard_without_store:
            return None
        secret = self.s3_secret_access_key
        return StoreSettings(
            bucket=self.s3_bucket,
            endpoint_url=self.s3_endpoint_url,
            region=self.s3_region,
            access_key_id=self.s3_access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            worker_endpoint_url=self.s3_worker_endpoint_url,
            link_seconds=self.s3_link_seconds,
        )

    @property
    def external_executor(self) -> tuple[str, str]:
        """Its address and token; empty where they are not set."""
        token = self.executor_auth_token
        return self.executor_base_url or "", token.get_secret_value() if token else ""

    @property
    def owner(self) -> str:
        """Who claims runs here, as the queue shows it."""
        return self.run_queue_owner or f"{socket.gethostname()}:{os.getpid()}"

    @property
    def dsn(self) -> str:
        return self.database_url.get_secret_value()

    @property
    def callback_url(self) -> str:
        return (self.runyard_callback_url or self.runyard_public_url or f"http://127.0.0.1:{self.runyard_port}").rstrip(
            "/"
        )

    @property
    def lock_seconds(self) -> float:
        return self.run_queue_lock_ms / 1000

    @property
    def retry_delay_seconds(self) -> float:
        return self.run_queue_retry_delay_ms / 1000


def read_settings() -> JobSettings:
    """From the environment."""
    from_environment: dict[str, Any] = {}
    try:
        return JobSettings(**from_environment)
    except ValidationError as error:
        raise BadSetting(fault_sentence(error, JobSettings)) from None


def dropped_settings(environ: Mapping[str, str]) -> list[str]:
    """Sentences about settings of the system that this one follows, which mean nothing here."""
    instead = {
        "CONTROL_PLANE_STORAGE": "there is one storage, PostgreSQL (DATABASE_URL)",
        "CONTROL_PLANE_DOCKER": "set WORKER_HOST instead",
        "EXECUTOR_IDLE_SECONDS": "an executor does not end by itself any more; idle workers are saved and then stopped"
        " after WORKER_IDLE_STOP_SECONDS",
        "FILE_BROWSER_ROOT": "files are read from the sessions' own workspaces",
    }
    return [f"{name} has no effect: {why}." for name, why in instead.items() if name in environ]
