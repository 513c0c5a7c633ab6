"""Read the executor's settings once, at its entry point. An invalid setting raises a BadSetting with one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar
from uuid import UUID

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from executor.process.account import AgentAccount
from schema.executor_api import executor_id
from schema.settings import (
    ABOUT,
    AgentsDir,
    AgentSilentSeconds,
    BadSetting,
    HeartbeatSeconds,
    LogLevel,
    ProvidersFile,
    StopGraceSeconds,
    fault_sentence,
)


class ProviderSettings(BaseSettings):
    """Locate the registry of providers and the installed agents, and limit their silence."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    providers_file: ProvidersFile = Path("providers.toml")
    agents_dir: AgentsDir = Path(".runyard/agents")
    agent_silent_seconds: AgentSilentSeconds = 600

    @property
    def own_secrets(self) -> frozenset[str]:
        """Return the secret values that the settings hold."""
        return frozenset()


class ExecutorSettings(ProviderSettings):
    """Configure one executor. Times are in seconds.

    `executor_port` 0 takes any free port; `executor_port_file` then names the file that holds it.
    `executor_idle_exit_seconds` 0 disables the idle exit.
    """

    executor_auth_token: SecretStr = Field(min_length=16, description=ABOUT["EXECUTOR_AUTH_TOKEN"])
    executor_session_id: UUID = Field(description="Session that this executor works for.")
    executor_epoch: int = Field(ge=1, description="Epoch of the session's workspace.")
    executor_host: str = Field(default="127.0.0.1", description="Address to listen on.")
    executor_port: int = Field(default=0, ge=0, le=65535, description="Port to listen on. 0 takes any free port.")
    executor_port_file: Path | None = Field(default=None, description="File to which the executor writes its port.")
    executor_workspace_dir: Path = Field(description="Directory of the session's workspace.")
    executor_agent_home: Path = Field(description="Directory of the agent's home.")
    executor_state_dir: Path = Field(description="Directory of the executor's own state, such as its spool.")
    executor_agent_uid: int | None = Field(
        default=None,
        ge=1,
        description="User id that agents run under. It alone owns workspace and home.",
        json_schema_extra={"default": "the executor's own"},
    )
    executor_agent_gid: int | None = Field(
        default=None,
        ge=1,
        description="Group id that agents run under.",
        json_schema_extra={"default": "the executor's own"},
    )
    executor_disk_bytes: int = Field(
        default=0, ge=0, description="Stop a run whose workspace and home take more than N bytes. 0 disables it."
    )
    executor_stop_grace_seconds: StopGraceSeconds = 10
    executor_heartbeat_seconds: HeartbeatSeconds = 5
    executor_idle_exit_seconds: float = Field(
        default=0, ge=0, description="Exit after N seconds without a run. 0 disables it."
    )
    executor_fail_for_tests: str = Field(
        default="",
        description="Calls to fail on purpose. Only this project's own tests may set it, and the image lacks it.",
    )
    log_level: LogLevel = "INFO"

    @property
    def own_secrets(self) -> frozenset[str]:
        """Return the secret values that the settings hold."""
        return frozenset([self.executor_auth_token.get_secret_value()])

    @property
    def agent_account(self) -> AgentAccount:
        """Return the account that agents run under: the executor's own when no uid is set."""
        return AgentAccount(self.executor_agent_uid, self.executor_agent_gid)

    @property
    def executor_id(self) -> str:
        """Return this executor's id, made of its session and epoch."""
        return executor_id(self.executor_session_id, self.executor_epoch)


T = TypeVar("T", bound=ProviderSettings)


def read_settings(kind: type[T]) -> T:
    """Read settings from the environment. Raises BadSetting with one sentence that names the setting."""
    try:
        return kind()
    except ValidationError as error:
        raise BadSetting(fault_sentence(error, kind)) from None
