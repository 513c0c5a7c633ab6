"""The executor's settings, which the job worker passes on as they are set."""

from __future__ import annotations

import pytest

from executor.process.settings import ExecutorSettings, read_settings
from schema.settings import BadSetting

NEEDED = {
    "EXECUTOR_AUTH_TOKEN": "0123456789abcdef",
    "EXECUTOR_SESSION_ID": "5c0f6f2e-9a3f-4d4b-8a44-0a7a36b8e5d1",
    "EXECUTOR_EPOCH": "1",
    "EXECUTOR_WORKSPACE_DIR": "/w",
    "EXECUTOR_AGENT_HOME": "/h",
    "EXECUTOR_STATE_DIR": "/s",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ExecutorSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_an_empty_setting_is_as_if_it_was_not_there_as_for_the_job_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTOR_HEARTBEAT_SECONDS", "")
    monkeypatch.setenv("LOG_LEVEL", "")
    settings = read_settings(ExecutorSettings)
    assert (settings.executor_heartbeat_seconds, settings.log_level) == (5, "INFO")


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXECUTOR_EPOCH")
    with pytest.raises(BadSetting, match=r"^EXECUTOR_EPOCH is not set\.$"):
        read_settings(ExecutorSettings)
