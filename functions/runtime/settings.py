"""The API's settings, read once from the environment at its entry point. A bad value raises BadSetting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from handlers.workers.lifecycle import LifeLimits
from schema.addresses import database_address, web_address
from schema.database_poolers import PoolerSettings
from schema.errors import Invalid
from schema.human_policy import HumanPolicy, OnExpiry, nearest
from schema.secret_keys import SecretKeys
from schema.settings import (
    ABOUT,
    AllowedHosts,
    Auth,
    BadSetting,
    IdleStopSeconds,
    LeaseSeconds,
    LogLevel,
    RemoveAfterSeconds,
    RetryDelayMs,
    StopDeadlineSeconds,
    TrustedProxies,
    fault_sentence,
    networks_of,
)
from schema.shares import ShareSettings
from schema.signature import parse_secret
from schema.store_settings import (
    S3AccessKeyId,
    S3Bucket,
    S3EndpointUrl,
    S3ReadAccessKeyId,
    S3ReadSecretAccessKey,
    S3Region,
    S3SecretAccessKey,
    WebAddress,
)

NO_LONGER = {
    "CONTROL_PLANE_STORAGE": "there is one storage, PostgreSQL (DATABASE_URL)",
    "CONTROL_PLANE_DOCKER": "where workers run is set by WORKER_HOST",
    "FILE_BROWSER_ROOT": "files are read from the workspaces and snapshots of sessions",
}
"""Settings of similar systems that Runyard does not read, with what to use instead."""


SMALLEST_SHARE = 8


def _secret(value: object) -> bytes:
    return value if isinstance(value, bytes) else parse_secret(str(value))


def _secret_or_none(value: object) -> bytes | None:
    return None if value is None else _secret(value)


def _worker_bind(value: str) -> str:
    host, _, port = value.partition(":")
    if value and not ip_address(host).is_private:
        raise ValueError("must be a private address of this machine, such as the gateway of the workers' network")
    if value and not port and ip_address(host).is_unspecified:
        raise ValueError("needs a port of its own when it binds every address")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError("has an invalid port")
    return value


def _with_half(name: str, of_all: str, values: dict[str, Any]) -> dict[str, Any]:
    """Set a user's share to half of all, unless it is set. A share below SMALLEST_SHARE would hinder one alone."""
    if name in values or not of_all.isdecimal():
        return values
    return {**values, name: max(int(of_all) // 2, SMALLEST_SHARE)}


class ApiSettings(ShareSettings, PoolerSettings):
    """Sizes are in bytes. Fields without an alias are named like their variable, in lower case.

    `auth`: "local" has one local administrator and listens on loopback only; "token" knows only the users and tokens
    that `python -m cli users` makes.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True, hide_input_in_errors=True
    )

    database_url: Annotated[str, AfterValidator(database_address)] = Field(
        min_length=1, repr=False, description=ABOUT["DATABASE_URL"]
    )
    database_pool_size: int = Field(
        default=16, ge=2, le=500, description="Open at most N database connections per API process."
    )
    secret_key: Annotated[bytes, BeforeValidator(_secret)] = Field(
        validation_alias="RUNYARD_SECRET_KEY", repr=False, description=ABOUT["RUNYARD_SECRET_KEY"]
    )
    secret_key_previous: Annotated[bytes | None, BeforeValidator(_secret_or_none)] = Field(
        default=None,
        validation_alias="RUNYARD_SECRET_KEY_PREVIOUS",
        repr=False,
        description=ABOUT["RUNYARD_SECRET_KEY_PREVIOUS"],
    )
    auth: Auth = Field(default="local", validation_alias="RUNYARD_AUTH")
    local_token_file: Path | None = Field(
        default=None,
        validation_alias="RUNYARD_LOCAL_TOKEN_FILE",
        description="File that holds the local administrator's token.",
    )
    sign_in_code_file: Path | None = Field(
        default=None,
        validation_alias="RUNYARD_SIGN_IN_CODE_FILE",
        description="File that holds the digest of the one-time code that signs a browser in.",
    )
    data_dir: Path | None = Field(
        default=None, validation_alias="RUNYARD_DATA_DIR", description=ABOUT["RUNYARD_DATA_DIR"]
    )
    port: int = Field(default=8080, ge=1, le=65535, validation_alias="RUNYARD_PORT", description=ABOUT["RUNYARD_PORT"])
    public_url: Annotated[str, AfterValidator(web_address)] = Field(
        default="",
        validation_alias="RUNYARD_PUBLIC_URL",
        description=ABOUT["RUNYARD_PUBLIC_URL"],
        json_schema_extra={"default": "`http://127.0.0.1:` and the port"},
    )
    allowed_hosts: AllowedHosts = Field(default="", validation_alias="RUNYARD_ALLOWED_HOSTS")
    trusted_proxies: TrustedProxies = Field(default="", validation_alias="RUNYARD_TRUSTED_PROXIES")
    worker_bind: Annotated[str, AfterValidator(_worker_bind)] = Field(
        default="",
        validation_alias="RUNYARD_WORKER_BIND",
        description="Second listener, as `address` or `address:port`, for executors in containers: the gateway of "
        "their network. It serves only callbacks.",
    )
    api_threads: int = Field(
        default=96, ge=8, le=2000, description="Serve at most N requests and streams at once per API process."
    )
    api_waiting_max: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Let at most N requests wait for a thread of an API process. Others are 503 with `Retry-After`. "
        "Callbacks and health checks have threads of their own.",
    )
    api_on_one_cpu: bool = Field(
        default=True,
        description="Keep an API process on the CPU where it started (Linux), which nearly doubles the callbacks that "
        "it serves. Start more processes to use more CPUs. `false` leaves the choice to the kernel.",
    )
    api_streams_max: int = Field(
        default=0,
        ge=0,
        description="Open at most N SSE streams and waits per API process.",
        json_schema_extra={"default": "three quarters of `API_THREADS`"},
    )
    api_sockets_max: int = Field(
        default=5000, ge=1, le=100_000, description="Open at most N WebSockets per API process. They take no threads."
    )
    max_prompt_bytes: int = Field(
        default=262_144, ge=1, description="Refuse a prompt of more than N bytes with status 413."
    )
    max_callback_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Refuse a callback of more than N bytes with status 413."
    )
    upload_max_bytes: int = Field(
        default=10 * 1024 * 1024,
        ge=1,
        le=15 * 1024 * 1024,
        description="Refuse an upload of more than N bytes with status 413.",
    )
    run_max_attempts: int = Field(
        default=3, ge=1, le=20, description="Try a run at most N times, unless its start says `maxAttempts`."
    )
    worker_idle_stop_seconds: IdleStopSeconds = 900
    worker_remove_after_seconds: RemoveAfterSeconds = 604_800
    run_lease_seconds: LeaseSeconds = 60
    run_stop_deadline_seconds: StopDeadlineSeconds = 30
    run_queue_retry_delay_ms: RetryDelayMs = 2000
    human_loop_on_expiry: OnExpiry = Field(
        default="park",
        description="Action when an agent's request expires: `wait`, `deny`, `park` or `escalate`. An app "
        "(`--human-loop`) or a run (`humanLoop`) overrides it.",
    )
    human_loop_expiry_seconds: float = Field(
        default=3600, gt=0, le=31_536_000, description="Do so after N seconds without an answer."
    )
    human_loop_escalate_to: str | None = Field(
        default=None, description="Who may also answer after an escalation: `user:<id>` or `role:<name>`."
    )
    human_loop_escalation_seconds: float = Field(
        default=3600, gt=0, le=31_536_000, description="End an escalation after N seconds without an answer."
    )
    human_loop_then: Literal["wait", "deny", "park"] = Field(
        default="park", description="Action when an escalated request expires: `wait`, `deny` or `park`."
    )
    s3_endpoint_url: S3EndpointUrl = None
    s3_bucket: S3Bucket = ""
    s3_region: S3Region = "us-east-1"
    s3_access_key_id: S3AccessKeyId = None
    s3_secret_access_key: S3SecretAccessKey = None
    s3_read_access_key_id: S3ReadAccessKeyId = None
    s3_read_secret_access_key: S3ReadSecretAccessKey = None
    s3_public_endpoint_url: WebAddress | None = Field(
        default=None,
        description="Address of the object store for API clients, which then can ask for links to it "
        "(`download?link=true`). Unset: the API sends all bytes itself.",
    )
    log_level: LogLevel = "INFO"

    @model_validator(mode="before")
    @classmethod
    def _with_derived(cls, values: Any) -> Any:
        """Set defaults that follow from other settings."""
        if not isinstance(values, dict):
            return values
        port = values.get("RUNYARD_PORT", values.get("port", 8080))
        if not {"RUNYARD_PUBLIC_URL", "public_url"} & values.keys():
            values = {**values, "public_url": f"http://127.0.0.1:{port}"}
        threads = str(values.get("api_threads", 96))
        if "api_streams_max" not in values and threads.isdecimal():
            values = {**values, "api_streams_max": int(threads) * 3 // 4}
        if values.get("RUNYARD_AUTH", values.get("auth", "local")) == "local":
            return values  # there is one user, who shares with nobody
        streams = str(values.get("api_streams_max"))
        return _with_half("api_requests_per_user", threads, _with_half("api_streams_per_user", streams, values))

    @property
    def proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        return networks_of(self.trusted_proxies)

    @property
    def worker_address(self) -> tuple[str, int] | None:
        """Return the host and port of the executor port (default: the API's port); None when it is not set."""
        host, _, port = self.worker_bind.partition(":")
        return (host, int(port or self.port)) if host else None

    @model_validator(mode="after")
    def _only_local_has_a_local_administrator(self) -> ApiSettings:
        if self.auth != "local" and (self.local_token_file or self.sign_in_code_file):
            raise ValueError(
                f"RUNYARD_LOCAL_TOKEN_FILE and RUNYARD_SIGN_IN_CODE_FILE belong to RUNYARD_AUTH=local, not {self.auth}"
            )
        return self

    @model_validator(mode="after")
    def _streams_leave_threads(self) -> ApiSettings:
        if not 0 < self.api_streams_max < self.api_threads:
            raise ValueError(
                f"API_STREAMS_MAX is {self.api_streams_max}, but it must be above 0 and below API_THREADS, "
                f"{self.api_threads}: callbacks need threads that no stream can take"
            )
        return self

    @model_validator(mode="after")
    def _escalates_to_somebody(self) -> ApiSettings:
        try:
            nearest(self.human_policy)
        except (Invalid, ValidationError):
            raise ValueError(
                "HUMAN_LOOP_ESCALATE_TO must be user:<id> or role:<name>, and is needed where "
                "HUMAN_LOOP_ON_EXPIRY is escalate"
            ) from None
        return self

    @model_validator(mode="after")
    def _keys_have_secrets(self) -> ApiSettings:
        if (self.s3_read_access_key_id is None) != (self.s3_read_secret_access_key is None):
            raise ValueError("S3_READ_ACCESS_KEY_ID and S3_READ_SECRET_ACCESS_KEY are set together or not at all")
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY are set together or not at all")
        return self

    @property
    def secret_keys(self) -> SecretKeys:
        return SecretKeys(self.secret_key, self.secret_key_previous)

    @property
    def human_policy(self) -> HumanPolicy:
        """Return the policy for unanswered requests, which an app or a run can override."""
        return HumanPolicy(
            on_expiry=self.human_loop_on_expiry,
            expiry_seconds=self.human_loop_expiry_seconds,
            escalate_to=self.human_loop_escalate_to,
            escalation_seconds=self.human_loop_escalation_seconds,
            then=self.human_loop_then,
        )

    @property
    def life_limits(self) -> LifeLimits:
        """Return the life limits of workers whose app has none. A setting of 0 means no limit."""
        return LifeLimits(
            idle_stop=self.worker_idle_stop_seconds or None, remove_after=self.worker_remove_after_seconds or None
        )


def read_settings(**overrides: Any) -> ApiSettings:
    """Read the settings of this process; `overrides` replace the environment. Raises BadSetting."""
    try:
        return ApiSettings(**overrides)
    except ValidationError as error:
        raise BadSetting(fault_sentence(error, ApiSettings)) from None


def settings_without_meaning(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a sentence for each setting that is set but that Runyard does not use."""
    return [f"{name} is set but is not used: {instead}." for name, instead in NO_LONGER.items() if environ.get(name)]
