"""The job worker's settings, read once from the environment at its entry point. A bad value raises BadSetting."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from handlers.runs.handover_text import FEWEST_TOKENS
from jobs.object_store.settings import StoreSettings
from jobs.runtime.status_codes import StatusCodes
from schema.database_poolers import PoolerSettings, SecretAddress
from schema.secret_keys import SecretKeys
from schema.settings import (
    ABOUT,
    AgentsDir,
    AgentSilentSeconds,
    AuditLogDays,
    Auth,
    BadSetting,
    DiskAlarmFreeMb,
    DiskStopFreeMb,
    FileAuditDays,
    HeartbeatSeconds,
    IdleStopSeconds,
    LeaseSeconds,
    LogLevel,
    PauseMs,
    ProvidersFile,
    RemoveAfterSeconds,
    RetryDelayMs,
    Seconds,
    StopDeadlineSeconds,
    StopGraceSeconds,
    fault_sentence,
)
from schema.signature import parse_secret
from schema.store_settings import (
    S3AccessKeyId,
    S3Bucket,
    S3EndpointUrl,
    S3ReadAccessKeyId,
    S3ReadSecretAccessKey,
    S3Region,
    S3SecretAccessKey,
    VerifyDays,
    WebAddress,
)
from schema.worker_limits import DAY_SECONDS, LONGEST_SECONDS


def _secret(value: object) -> bytes:
    return value if isinstance(value, bytes) else parse_secret(str(value))


def _secret_or_none(value: object) -> bytes | None:
    return None if value is None else _secret(value)


class JobSettings(PoolerSettings):
    """Times carry their unit in the name. `executor_max_retries` counts the calls after the first one; 0 as
    `worker_idle_stop_seconds` or `worker_remove_after_seconds` is never, as a `run_limit` it is none.
    `executor_stop_grace_seconds`, `executor_heartbeat_seconds` and `agent_silent_seconds` are read here to be refused
    here: executors have them from our environment (jobs/hosts/environment.py)."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    database_url: SecretAddress = Field(min_length=1, description=ABOUT["DATABASE_URL"])
    runyard_secret_key: Annotated[bytes, BeforeValidator(_secret)] = Field(
        repr=False, description=ABOUT["RUNYARD_SECRET_KEY"]
    )
    runyard_secret_key_previous: Annotated[bytes | None, BeforeValidator(_secret_or_none)] = Field(
        default=None, repr=False, description=ABOUT["RUNYARD_SECRET_KEY_PREVIOUS"]
    )
    runyard_data_dir: Path = Field(default=Path(".runyard"), description=ABOUT["RUNYARD_DATA_DIR"])
    runyard_port: int = Field(default=8080, ge=1, le=65535, description=ABOUT["RUNYARD_PORT"])
    runyard_public_url: WebAddress | None = Field(default=None, description=ABOUT["RUNYARD_PUBLIC_URL"])
    runyard_callback_url: WebAddress | None = Field(
        default=None,
        description="Address at which executors reach the API.",
        json_schema_extra={"default": "`RUNYARD_PUBLIC_URL`"},
    )
    worker_host: Literal["process", "docker", "external"] = Field(
        default="process",
        description="Where session workers run. `process`: as child processes of the job worker, for trying out. "
        "`docker`: each in its own container. `external`: one executor that someone else runs.",
    )
    process_workers: Literal["", "trusted"] = Field(
        default="",
        description="`trusted`: allow `WORKER_HOST=process` although others than the local administrator sign in "
        "(`RUNYARD_AUTH`). Its agents share the job worker's account ([what that means](security.md)).",
    )
    runyard_auth: Auth = "local"
    worker_idle_stop_seconds: IdleStopSeconds = 900
    worker_remove_after_seconds: RemoveAfterSeconds = 604_800
    worker_concurrency: int = Field(default=16, ge=1, le=500, description="Perform at most N jobs at once.")
    providers_file: ProvidersFile = Path("providers.toml")
    agents_dir: AgentsDir = Path(".runyard/agents")

    run_queue_owner: str = Field(
        default="",
        max_length=200,
        description="Name of this job worker in the run queue.",
        json_schema_extra={"default": "host name and process id"},
    )
    run_queue_lock_ms: int = Field(
        default=60_000,
        ge=1000,
        le=1000 * DAY_SECONDS,
        description="Let a claim on a run expire after N milliseconds, unless the job worker renews it.",
    )
    run_queue_retry_delay_ms: RetryDelayMs = 2000
    run_lease_seconds: LeaseSeconds = 60
    run_stop_deadline_seconds: StopDeadlineSeconds = 30
    handover_max_tokens: int = Field(
        default=8000,
        ge=FEWEST_TOKENS,
        le=1_000_000,
        description="Give an agent at most N tokens of transcript about turns of other providers. A token counts as "
        "four bytes.",
    )
    run_limit: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Let at most N runs hold a session worker at once. 0 disables it. Others stay queued, and the "
        "user with the fewest live runs goes first. Parked runs do not count.",
    )
    run_limit_per_app: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="The same limit for each app without `concurrentRuns` in its limits. 0 disables it.",
    )
    run_limit_per_user: int = Field(
        default=20,
        ge=0,
        le=1_000_000,
        description="Let at most N runs of one user hold a session worker at once. 0 disables it. Parked runs do not "
        "count.",
    )
    file_audit_days: FileAuditDays = 365
    audit_log_days: AuditLogDays = 365
    reconcile_seconds: int = Field(default=10, ge=1, le=59, description="Look for stale runs every N seconds.")

    worker_alive_file: Path | None = Field(
        default=None,
        description="Touch this file every 2 seconds. `make up` restarts a job worker that leaves it untouched for 20 "
        "seconds; `python -m jobs.runtime.alive` is a health check for containers.",
    )
    disk_alarm_free_mb: DiskAlarmFreeMb = 2048
    disk_stop_free_mb: DiskStopFreeMb = 256

    sync_dirty_seconds: Seconds = Field(
        default=300, description="Save a workspace whose changes are unsaved for N seconds."
    )
    garbage_grace_hours: float = Field(
        default=24,
        ge=0,
        le=LONGEST_SECONDS / 3600,
        description="Delete an object that no snapshot names after N hours.",
    )
    verify_days: VerifyDays = 30
    message_snapshots_days: int = Field(
        default=7,
        ge=0,
        le=LONGEST_SECONDS // DAY_SECONDS,
        description="Delete a snapshot taken during a run after N days, unless it is the run's last. A snapshot of "
        "the quiesced session replaces it at once.",
    )

    executor_base_url: WebAddress | None = Field(
        default=None, description="Address of the executor. Required where `WORKER_HOST` is `external`."
    )
    executor_auth_token: SecretStr | None = Field(default=None, description=ABOUT["EXECUTOR_AUTH_TOKEN"])
    executor_max_retries: int = Field(
        default=3,
        ge=0,
        le=20,
        description="Repeat a failed call to an executor at most N times: on network errors, timeouts and the status "
        "codes of `EXECUTOR_RETRY_STATUS_CODES`. 0 disables it.",
    )
    executor_retry_delay_ms: PauseMs = Field(
        default=200, description="Wait N milliseconds before the first retry, and N more before each further one."
    )
    executor_retry_status_codes: StatusCodes = Field(
        default=(500, 502, 503, 504), description="Retry a call to an executor after these status codes (5xx only)."
    )
    executor_timeout_seconds: Seconds = Field(default=30, description="Give up a call to an executor after N seconds.")
    executor_start_timeout_seconds: Seconds = Field(
        default=60, description="Give up a new executor that does not answer after N seconds."
    )
    executor_spares: int = Field(
        default=1,
        ge=0,
        le=100,
        description="Keep N executors ready, so that new sessions start at once. Each takes about 60 MB. "
        "0 disables it.",
    )
    executor_stop_grace_seconds: StopGraceSeconds = 10
    executor_heartbeat_seconds: HeartbeatSeconds = 5
    agent_silent_seconds: AgentSilentSeconds = 600

    s3_endpoint_url: S3EndpointUrl = None
    s3_bucket: S3Bucket = ""
    s3_region: S3Region = "us-east-1"
    s3_access_key_id: S3AccessKeyId = None
    s3_secret_access_key: S3SecretAccessKey = None
    s3_read_access_key_id: S3ReadAccessKeyId = None
    s3_read_secret_access_key: S3ReadSecretAccessKey = None
    s3_worker_endpoint_url: WebAddress | None = Field(
        default=None,
        description="Address at which executors reach the object store.",
        json_schema_extra={"default": "`S3_ENDPOINT_URL`"},
    )
    s3_link_seconds: int = Field(
        default=900, ge=30, le=604_800, description="Let the signed links of executors expire after N seconds."
    )
    runyard_without_store: bool = Field(
        default=False,
        description="`1`: run without an object store. Then nothing is saved, and no session worker is stopped or "
        "removed. Without it and without `S3_BUCKET` the job worker refuses to start.",
    )
    log_level: LogLevel = "INFO"

    @model_validator(mode="after")
    def _external_has_an_address(self) -> JobSettings:
        if self.worker_host == "external" and not all(self.external_executor):
            raise ValueError("WORKER_HOST=external needs EXECUTOR_BASE_URL and EXECUTOR_AUTH_TOKEN")
        return self

    @model_validator(mode="after")
    def _keeps_processes_to_one_person(self) -> JobSettings:
        if self.worker_host == "process" and self.runyard_auth != "local" and self.process_workers != "trusted":
            raise ValueError(
                f"WORKER_HOST=process with RUNYARD_AUTH={self.runyard_auth} lets every user's agent act as the job "
                "worker. Set WORKER_HOST=docker, or PROCESS_WORKERS=trusted if you trust all users and repositories"
            )
        return self

    @model_validator(mode="after")
    def _says_where_workspaces_are_saved(self) -> JobSettings:
        if not self.s3_bucket and not self.runyard_without_store:
            raise ValueError(
                "S3_BUCKET says where workspaces are saved (docs/object-store.md). "
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
    def reading_store(self) -> StoreSettings | None:
        """The store by the API's reading key; None without a store or such a key."""
        secret = self.s3_read_secret_access_key
        if self.store is None or self.s3_read_access_key_id is None or secret is None:
            return None
        return replace(
            self.store, access_key_id=self.s3_read_access_key_id, secret_access_key=secret.get_secret_value()
        )

    @property
    def secret_keys(self) -> SecretKeys:
        return SecretKeys(self.runyard_secret_key, self.runyard_secret_key_previous)

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
        """The address past a pooler: the job worker keeps locks and settings in its sessions."""
        return self.direct_dsn(self.database_url.get_secret_value())

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
