"""The executor's settings, read once, at its entry point. A bad one is a BadSettings with one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar
from uuid import UUID

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from executor.process.account import AgentAccount
from schema.executor_api import executor_id
from schema.settings import BadSetting, HeartbeatSeconds, StopGraceSeconds, fault_sentence


class ProviderSettings(BaseSettings):
    """Where providers are described, and where the programs of their agents are installed."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    providers_file: Path = Path("providers.toml")
    agents_dir: Path = Path(".runyard/agents")


class ExecutorSettings(ProviderSettings):
    """`executor_port` 0 takes any free port; `executor_port_file` then says which. Times are seconds;
    `executor_idle_exit_seconds` 0 is never."""

    executor_auth_token: SecretStr = Field(min_length=16)
    executor_session_id: UUID
    executor_epoch: int = Field(ge=1)
    executor_host: str = "127.0.0.1"
    executor_port: int = Field(default=0, ge=0, le=65535)
    executor_port_file: Path | None = None
    executor_workspace_dir: Path
    executor_agent_home: Path
    executor_state_dir: Path
    executor_agent_uid: int | None = Field(default=None, ge=1)
    executor_agent_gid: int | None = Field(default=None, ge=1)
    executor_disk_bytes: int = Field(default=0, ge=0)
    executor_stop_grace_seconds: StopGraceSeconds = 10
    executor_heartbeat_seconds: HeartbeatSeconds = 5
    executor_idle_exit_seconds: float = Field(default=0, ge=0)
    executor_fail_for_tests: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def agent_account(self) -> AgentAccount:
        """Whom agents run as; without a uid, as ourselves."""
        return AgentAccount(self.executor_agent_uid, self.executor_agent_gid)

    @property
    def executor_id(self) -> str:
        """Who we are."""
        return executor_id(self.executor_session_id, self.executor_epoch)


T = TypeVar("T", bound=ProviderSettings)


def read_settings(kind: type[T]) -> T:
    """From the environment."""
    try:
        return kind()
    except ValidationError as error:
        raise BadSetting(fault_sentence(error, kind)) from None
