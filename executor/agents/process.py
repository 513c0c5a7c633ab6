"""Run an agent's process: in its own process group, its stderr drained, ended with every process that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog

from executor.agents.disk import limit_files
from executor.agents.failures import TurnFailed
from executor.agents.model_failures import words_of_log
from executor.agents.text import Redaction, clean_text
from executor.process import leftovers
from executor.process.account import AgentAccount
from schema.prctl import become_subreaper, die_with_parent

STDERR_LINES_LOGGED = 200
STDERR_LINES_KEPT = 8
LONGEST_LINE = 8192
"""Characters read of a line of stderr: a model's words in it must be whole."""
LAST_LINE = 200
"""Characters of the agent's last line that the reason of a crash quotes. The log has the rest."""
COMMAND_LENGTH = 200
"""Characters of a surviving command line that a warning quotes."""
SECONDS_TO_LEAVE = 3.0
SECONDS_TO_TERMINATE = 1.5

_log = structlog.get_logger(__name__)


class AgentProcess:
    """A running agent. Call `end` exactly once, in every case."""

    def __init__(
        self, process: asyncio.subprocess.Process, session_id: UUID, account: AgentAccount, redaction: Redaction
    ) -> None:
        self._process = process
        self._session_id = session_id
        self._account = account
        self._redaction = redaction
        self._last_lines: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._model_words: tuple[float, str] | None = None
        self._drain = asyncio.create_task(self._drain_stderr())

    @property
    def stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    def model_words(self, *, since: float) -> str | None:
        """Return the model's last failure in the agent's log, or None when it was logged before `since` (monotonic)."""
        return self._model_words[1] if self._model_words and self._model_words[0] >= since else None

    async def ended(self, *, look_every: float = 0.1) -> int:
        """Wait until the agent has ended. Return its exit code, negative for a signal.

        asyncio's own wait (before Python 3.12.5) also waits until no process holds the pipes. A child that outlives the
        agent may hold them forever.
        """
        while (code := self._process.returncode) is None:  # noqa: ASYNC110 -- asyncio has no event for it (see the docstring)
            await asyncio.sleep(look_every)
        return code

    def last_output(self) -> str:
        """Return the agent's last lines on stderr as one text, empty when there are none."""
        return " | ".join(self._last_lines)[-800:]

    async def logged(self) -> None:
        """Wait until stderr is read to its end."""
        await asyncio.shield(self._drain)

    async def how_it_ended(self) -> str:
        """Return a sentence on how the agent ended, once it has exited or closed its output."""
        await self._exits_within(1.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.logged(), 0.5)
        code = self._process.returncode
        how = (
            "closed its output"
            if code is None
            else f"was killed by signal {-code}"
            if code < 0
            else f"exited with {code}"
        )
        _log.warning("agent.ended_early", how=how, last_output=self.last_output())
        words = self._last_lines[-1][:LAST_LINE] if self._last_lines else ""
        return f"The agent {how} before its turn ended" + (f"; its last line of output was: {words}" if words else ".")

    async def end(self, *, gracefully: bool) -> list[str]:
        """Close the agent's input, wait for its exit if `gracefully`, then kill its group and every process that it
        started. Return the command lines of those that a graceful exit left running."""
        descendants = leftovers.descendants(self._process.pid)
        survivors: list[str] = []
        self.stdin.close()
        if gracefully:
            await self._exits_within(SECONDS_TO_LEAVE)
            survivors = await asyncio.to_thread(
                leftovers.surviving_commands, self._session_id, self._process.pid, descendants
            )
        self._signal_group(signal.SIGTERM)
        await self._exits_within(SECONDS_TO_TERMINATE)
        descendants += leftovers.descendants(self._process.pid)
        self._signal_group(signal.SIGKILL)
        await self.ended(look_every=0.02)
        count = await asyncio.to_thread(leftovers.kill_leftovers, self._session_id, self._account, descendants)
        if count:
            _log.info("agent.leftovers_killed", count=count)
        leftovers.started_here.discard(self._process.pid)
        self._drain.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), SECONDS_TO_TERMINATE)
        return [clean_text(self._redaction.hide(command))[:COMMAND_LENGTH] for command in survivors]

    async def _exits_within(self, seconds: float) -> None:
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
            rest = rest[-LONGEST_LINE:]
            for line in lines:
                count += 1
                self._take_line(line, count)
        if rest:
            self._take_line(rest, count + 1)

    def _take_line(self, line: bytes, count: int) -> None:
        text = clean_text(self._redaction.hide(line.decode("utf-8", "replace").strip()))[:LONGEST_LINE]
        if not text:
            return
        if words := words_of_log(text):
            self._model_words = time.monotonic(), words
        self._last_lines.append(text[:300])
        if count <= STDERR_LINES_LOGGED:
            _log.info("agent.stderr", line=text[:1000])


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
    """Start an agent. Raises TurnFailed `program_missing` for a missing or unusable program."""
    become_subreaper()
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
        raise TurnFailed("program_missing", f"The {missing} does not exist on the worker.") from None
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise TurnFailed("program_missing", f"The executor cannot start {command[0]}: {error}") from None
    leftovers.started_here.add(process.pid)
    return AgentProcess(process, session_id, account, redaction)


def _before_program(account: AgentAccount, cwd: Path, disk_bytes: int) -> None:
    """Run in the new child, already under its account, because only that account may enter the folder."""
    die_with_parent()
    limit_files(disk_bytes)
    if account.is_another:
        os.chdir(cwd)
