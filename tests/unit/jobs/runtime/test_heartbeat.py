"""The job worker touches its file while it is at work; `python -m jobs.runtime.alive` reads it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from jobs.runtime import heartbeat
from jobs.runtime.alive import main
from jobs.runtime.heartbeat import Heartbeat
from tests.integration.jobs.waiting import wait_until


def test_the_file_is_touched_while_the_block_lasts(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    with Heartbeat(file).beating():
        wait_until(file.exists, lambda: "never touched", seconds=30)


def test_a_loop_that_stands_still_leaves_the_file_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(heartbeat, "LOOP_SECONDS", 0.0)
    file, beat = tmp_path / "alive", Heartbeat(tmp_path / "alive")

    async def turn_once() -> None:
        beating = asyncio.create_task(beat.beat_with_loop())
        await asyncio.sleep(0)
        with beat.beating():  # this loop now stands still
            time.sleep(0.2)  # noqa: ASYNC251  that is what stands still means
        beating.cancel()

    asyncio.run(turn_once())
    assert not file.exists()


def test_the_health_check_tells_a_silent_job_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alive"
    monkeypatch.setenv("WORKER_ALIVE_FILE", str(file))
    assert main() == 1
    file.touch()
    assert main() == 0
    os.utime(file, (time.time() - 60, time.time() - 60))
    assert main() == 1
    assert "silent for 60 s" in capsys.readouterr().err
