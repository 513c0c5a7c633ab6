"""The process of one agent: started in a process group of its own, its stderr drained, ended with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog

from executor.agents.disk import limit_files
from executor.agents.failures import TurnFailed
from executor.agents.text import Redaction, clean_text
from executor.process import leftovers
from executor.process.account import AgentAccount

STDERR_LINES_LOGGED = 200
STDERR_LINES_KEPT = 8
SECONDS_TO_LEAVE = 3.0
SECONDS_TO_TERMINATE = 1.5

_log = structlog.get_logger(__name__)


class AgentProcess:
    """A running agent. `end` is to be called once, whatever happened."""

    def __init__(
        self, process: asyncio.subprocess.Process, session_id: UUID, account: AgentAccount, redaction: Redaction
    ) -> None:
        self._process = process
        self._session_id = session_id
        self._account = account
        self._redaction = redaction
        self._last_lines: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._drain = asyncio.create_task(self._drain_stderr())

    @property
    def stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    async def ended(self, *, look_every: float = 0.1) -> int:
        """Waits for the agent's end; its exit code, negative for a signal.

        asyncio's own wait (before Python 3.12.5) also waits until nobody holds the pipes any more, which a child that
        outlives the agent may do for ever.
        """
        while (code := self._process.returncode) is None:  # noqa: ASYNC110 -- asyncio has no event for it, see above
            await asyncio.sleep(look_every)
        return code

    def last_words(self) -> str:
        """The last lines that it wrote to stderr, as one text; empty when there are none."""
        return " | ".join(self._last_lines)[-800:]

    async def how_it_ended(self) -> str:
        """A sentence for a reason, once the agent is known to have gone or closed its output."""
        await self._left_within(1.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._drain), 0.5)
        code = self._process.returncode
        how = (
            "closed its output"
            if code is None
            else f"was ended by signal {-code}"
            if code < 0
            else f"exited with {code}"
        )
        words = self.last_words()
        return f"The agent {how} before its turn was over." + (f" Its last words: {words}" if words else "")

    async def end(self, *, patiently: bool) -> None:
        """Close its input and let it leave (unless not `patiently`), then end its group and all that it started."""
        below = leftovers.descendants(self._process.pid)
        self.stdin.close()
        if patiently:
            await self._left_within(SECONDS_TO_LEAVE)
        self._signal_group(signal.SIGTERM)
        await self._left_within(SECONDS_TO_TERMINATE)
        below += leftovers.descendants(self._process.pid)
        self._signal_group(signal.SIGKILL)
        await self.ended(look_every=0.02)
        count = await asyncio.to_thread(leftovers.kill_leftovers, self._session_id, self._account, below)
        if count:
            _log.info("agent.leftovers_killed", count=count)
        leftovers.started_here.discard(self._process.pid)
        self._drain.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), SECONDS_TO_TERMINATE)

    async def _left_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended(look_every=0.02), seconds)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        count = 0
        rest = b""
        while data := await self._process.stderr.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                count += 1
                self._take_line(line, count)
        if rest:
            self._take_line(rest, count + 1)

    def _take_line(self, line: bytes, count: int) -> None:
        text = clean_text(self._redaction.hide(line.decode("utf-8", "replace").strip()))[:1000]
        if not text:
            return
        self._last_lines.append(text[:300])
        if count <= STDERR_LINES_LOGGED:
            _log.info("agent.stderr", line=text)


async def start_process(
    command: list[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    session_id: UUID,
    account: AgentAccount,
    disk_bytes: int,
    redaction: Redaction,
) -> AgentProcess:
    """Start an agent. A missing or unusable program is TurnFailed `program_missing`."""
    leftovers.become_subreaper()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=None if account.is_another else cwd,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=partial(_before_program, account, cwd, disk_bytes),
            **account.of_children(),
            limit=1024 * 1024,
        )
    except FileNotFoundError:
        with account.acting():
            missing = f"program {command[0]}" if cwd.is_dir() else f"working folder {cwd}"
        raise TurnFailed("program_missing", f"The {missing} is missing.") from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise TurnFailed("program_missing", f"{command[0]} cannot be started: {error}") from None
    leftovers.started_here.add(process.pid)
    return AgentProcess(process, session_id, account, redaction)


def _before_program(account: AgentAccount, cwd: Path, disk_bytes: int) -> None:
    """In the new child, which is of its account by now: only that may enter the folder."""
    leftovers.die_with_parent()
    limit_files(disk_bytes)
    if account.is_another:
        os.chdir(cwd)
