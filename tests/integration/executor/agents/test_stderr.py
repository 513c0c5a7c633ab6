"""What an agent logs of its model is read whole."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

from executor.agents.process import start_process
from executor.agents.text import NOTHING_HIDDEN
from executor.process.account import EXECUTOR_ACCOUNT

WORDS = "the kettle broke, " * 50 + "at last"
LINE = f'level=ERROR run={"1" * 500} message="stream error" error.error="AI_APICallError: {WORDS}"'


def test_a_models_words_in_a_long_line_of_the_log_are_whole(tmp_path: Path) -> None:
    async def words() -> str | None:
        agent = await start_process(
            [sys.executable, "-c", f"import sys; sys.stderr.write({LINE!r} + chr(10))"],
            cwd=tmp_path,
            environment=dict(os.environ),
            session_id=uuid4(),
            account=EXECUTOR_ACCOUNT,
            disk_bytes=0,
            redaction=NOTHING_HIDDEN,
        )
        try:
            await asyncio.wait_for(agent.logged(), 60)
            return agent.model_words(since=0)
        finally:
            await agent.end(gracefully=False)

    assert asyncio.run(words()) == WORDS
