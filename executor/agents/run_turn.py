"""Run one agent turn over the Agent Client Protocol: `take_turn` starts the agent, sends the prompt, and ends it.

It never raises for the agent's behaviour: RunFinished.reason says how a turn failed. Codes: program_missing,
install_failed, login_missing, unknown_model, unknown_mode, option_refused, secret_missing, workspace_untrusted,
agent_silent (not ready within its start limit), home_unusable, agent_crashed, protocol_error, agent_error (its model
failed, or it said nothing for too long), agent_refused, agent_lost, max_tokens, max_turn_requests, timeout, disk_limit.
Cancelled turns: stopped, cancelled_by_answer, agent_cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from acp import RequestError, text_block
from acp.schema import PromptResponse

from executor.agents.acp_client import AcpClient
from executor.agents.attachments import Block
from executor.agents.codex_rollout import turn_failed, words_of_failed_turn
from executor.agents.connected_agent import ConnectedAgent, connect
from executor.agents.declared import missing_login, run_started
from executor.agents.disk import disk_full, disk_is_full
from executor.agents.failures import AUTH_REQUIRED, TurnFailed, answered_with_error
from executor.agents.handover import first_message, is_slashed
from executor.agents.install import ensure_installed
from executor.agents.launch import FolderPreparation, command_of, environment_of, folders_of
from executor.agents.masked_listener import MaskedListener, masked
from executor.agents.model_failures import failure_of
from executor.agents.open_session import OpenSession, open_session
from executor.agents.outcomes import (
    CANCELLED_BY_ANSWER,
    EMPTY_TURN,
    LOST,
    STOPPED,
    endless,
    is_urgent,
    resume_prompt,
    settled,
    silence_told,
    silent_for,
    timed_out,
    without_model,
)
from executor.agents.pending_requests import PendingRequests
from executor.agents.process import start_process
from executor.agents.provider import Provider
from executor.agents.provider_settings import RunSettings, settings_for
from executor.agents.silence import Silence
from executor.agents.text import Redaction
from executor.agents.todos import TodoList
from executor.agents.totals import NOTHING, keep_totals, used_before
from executor.agents.translate import Translation
from executor.agents.turn import Listener, Stop, Turn
from executor.agents.usage import UsageMeter, reported_tokens
from schema.events import RunFinished, RunWarning

LOG_LAG_SECONDS = 1.0
"""An agent's log and its updates come through two pipes: a line may be read this much before an earlier update."""
MOST_FOLLOW_UPS = 10
STARTS = 2
"""A start that fails before the prompt was sent is tried once more."""
FAILED_STARTS = frozenset({"agent_crashed", "agent_silent"})

_log = structlog.get_logger(__name__)


async def take_turn(turn: Turn, provider: Provider, listener: Listener, stop: Stop) -> RunFinished:
    """Run the turn. Return how it ended, once no process of the agent runs any more."""
    driver = _TurnDriver(turn, provider, listener, stop)
    try:
        return await driver.outcome()
    finally:
        await asyncio.shield(asyncio.ensure_future(driver.clean_up()))


class _TurnDriver:
    """Hold the state of one turn, from its first step until its last process has ended."""

    def __init__(self, turn: Turn, provider: Provider, listener: Listener, stop: Stop) -> None:
        self._turn = turn
        self._provider = provider
        self._dialect = provider.dialect
        self._redaction = redaction = Redaction([*turn.secrets, *provider.secrets(), turn.run.callback.key])
        self._listener = listener = MaskedListener(listener, redaction)
        self._stop = stop
        self._settings = RunSettings()
        folders = folders_of(turn)
        self._cwd = folders.cwd
        self._meter = UsageMeter(provider.prices, provider.counts)
        self._translation = Translation(
            listener.say, self._meter, TodoList(provider.name, turn.run.todos), folders, provider.dialect, redaction
        )
        self._requests = PendingRequests(listener, grace_seconds=stop.grace_seconds)
        self._client = AcpClient(self._translation, self._requests, folders, self._redaction)
        self._begun = asyncio.Event()
        self._silence = Silence(self._begun, lambda: self._translation.has_open_calls or self._requests.has_open)
        self._translation.heard = self._silence.hear
        self._before = NOTHING
        self._preparation = FolderPreparation(provider, turn, self._warn)
        self._agent: ConnectedAgent | None = None
        self._opened: OpenSession | None = None
        self._gracefully = False
        self._ending = asyncio.Lock()

    async def outcome(self) -> RunFinished:
        work, limit = asyncio.ensure_future(self._work()), self._turn.silent_seconds
        ends: dict[asyncio.Future[Any], Callable[[], RunFinished]] = {
            asyncio.ensure_future(self._stop.wanted.wait()): lambda: STOPPED,
            asyncio.ensure_future(self._requests.cancelled.wait()): lambda: CANCELLED_BY_ANSWER,
            asyncio.ensure_future(self._time_is_up()): lambda: timed_out(self._turn.run.timeout_seconds),
            asyncio.ensure_future(disk_is_full(self._turn)): lambda: disk_full(self._turn.disk_bytes),
            asyncio.ensure_future(self._silence.reaches(limit)): lambda: silent_for(limit, self._latest_words()),
            asyncio.ensure_future(self._translation.asks_endlessly.wait()): lambda: endless(self._model_words()),
        }
        telling = asyncio.ensure_future(self._tell_silence())
        try:
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            ended = next((finish for task, finish in ends.items() if task.done()), None)
            finished = ended() if ended else work.result()
            if not work.done():
                await self._cancel_work(work, seconds=0 if is_urgent(finished) else self._stop.grace_seconds)
        finally:
            for task in (work, telling, *ends):
                task.cancel()
        return masked(self._finalized(finished), self._redaction)

    def _finalized(self, finished: RunFinished) -> RunFinished:
        """End open messages and calls, and add the usage to the turn's end."""
        if not self._client.live:
            return finished
        self._client.live = False
        if self._opened is not None and (totals := self._meter.totals()) is not None:
            keep_totals(self._turn, self._opened.session_id, totals)
        self._translation.end_message(finished.stop_reason or finished.status)
        self._translation.end_calls()
        self._translation.say_late_with(self._listener.say_late)
        return finished.model_copy(update={"usage": self._meter.final()})

    async def clean_up(self) -> None:
        """End the agent and every process that it started. Text that the agent says until then is late."""
        await self._preparation.ended()
        for command in await self._end_agent(gracefully=self._gracefully):
            self._warn("process_ended", f"The agent left a process running, and Runyard ended it: {command}")
        self._client.late_until = 0.0
        self._translation.end_message("late")

    async def _end_agent(self, *, gracefully: bool) -> list[str]:
        """End the agent, or wait until an end that was begun before is done. Return the commands that outlived it."""
        async with self._ending:
            agent, self._agent = self._agent, None
            return await agent.end(gracefully=gracefully) if agent else []

    async def _work(self) -> RunFinished:
        try:
            opened = await self._open_with_retry()
            await self._listener.begin(run_started(self._provider, opened))
            self._begun.set()
            answer = await self._send_prompt(opened)
            self._gracefully = True
            if opened.closes and self._agent is not None:
                await self._agent.close_session(opened.session_id)
            return self._settled(answer)
        except TurnFailed as failed:  # its words are often the agent's or its model's
            hidden = TurnFailed(failed.code, self._redaction.hide(failed.message))
            _log.warning("agent.turn_failed", code=hidden.code, reason=hidden.message)
            return hidden.finished()

    async def _open_with_retry(self) -> OpenSession:
        """Prepare the home, then open a session. Installation does not count against the start limit, and a start that
        fails is tried once more with a new process."""
        self._settings = settings_for(self._turn, self._provider)
        if lack := missing_login(self._provider):
            raise TurnFailed(lack.code, lack.sentence)
        await ensure_installed(self._provider, self._provider.agents_dir, partial(self._warn, "agent_installing"))
        for _ in range(STARTS - 1):
            self._settings = await self._preparation.run(self._settings)
            try:
                return await self._open()
            except TurnFailed as failed:
                if failed.code not in FAILED_STARTS or self._stop.wanted.is_set():
                    raise
                self._warn("agent_restarted", f"{failed.message} Runyard starts it once more.")
                await asyncio.shield(asyncio.ensure_future(self._end_agent(gracefully=False)))
        return await self._open()

    async def _open(self) -> OpenSession:
        """Start the agent and open its session within the start limit, which counts from the started process."""
        agent = self._agent = await self._start()
        earlier_id = self._turn.run.resume.agent_session_id if self._turn.run.resume else None
        if earlier_id is not None:
            self._before = used_before(self._turn, earlier_id, self._dialect)
        opening = open_session(
            agent.connection,
            cwd=self._cwd,
            settings=self._settings,
            authenticate=self._provider.authenticate,
            earlier_id=earlier_id,
            is_told_if_lost=self._turn.run.handover_if_lost is not None,
            warn=self._warn,
        )
        try:
            async with asyncio.timeout(self._provider.start_seconds):
                self._opened = await agent.answered(opening, has_opened=False)
        except TimeoutError:
            raise agent.not_ready_within(self._provider.start_seconds) from None
        if self._turn.continues and not self._opened.resumed:
            raise TurnFailed("agent_lost", LOST)
        self._client.session_id = self._opened.session_id
        return self._opened

    async def _start(self) -> ConnectedAgent:
        process = await start_process(
            command_of(self._provider),
            cwd=self._cwd,
            environment=environment_of(self._provider, self._turn, self._settings.environment),
            session_id=self._turn.run.session_id,
            account=self._turn.account,
            disk_bytes=self._turn.disk_bytes,
            redaction=self._redaction,
        )
        return connect(process, self._client, self._redaction)

    async def _send_prompt(self, opened: OpenSession) -> PromptResponse:
        """Send the prompt, then messages about denials. Return the last answer."""
        self._meter.begin_turn(opened.model, before=self._before if opened.resumed else NOTHING)
        self._client.live = True
        answer = await self._prompt(opened, await self._first_blocks(opened), is_internal=self._turn.continues)
        for _ in range(MOST_FOLLOW_UPS):
            follow_up = self._client.take_follow_up(ended=answer.stop_reason == "cancelled")
            if follow_up is None or self._requests.closing.is_set():
                break
            self._translation.end_message("denied")
            self._translation.end_calls()
            self._translation.say_as_user(follow_up)
            answer = await self._prompt(opened, [text_block(follow_up)], is_internal=True)
        return answer

    async def _first_blocks(self, opened: OpenSession) -> list[Block]:
        if self._turn.continues:
            return [text_block(resume_prompt(self._turn))]
        commands = await self._client.own_commands() if is_slashed(self._turn.run.prompt) else None
        return await first_message(self._turn, self._listener, opened, commands=commands or [], dialect=self._dialect)

    async def _prompt(self, opened: OpenSession, blocks: list[Block], *, is_internal: bool) -> PromptResponse:
        """Send a prompt and return the agent's answer. Raises TurnFailed when the agent or its model failed.

        `is_internal`: the words are Runyard's own and not a person's, which the prompt's `_meta` says.
        """
        agent = self._agent
        assert agent is not None
        self._silence.hear()
        since = time.time()
        meta = {"internal": True} if is_internal else {}
        call = agent.connection.prompt(session_id=opened.session_id, prompt=list(blocks), **meta)
        try:
            with self._requests.during_prompt():
                answer = await agent.answered(call, has_opened=True)
        except RequestError as error:
            await self._client.falls_quiet()
            said = self._translation.last_words
            if error.code == AUTH_REQUIRED and self._dialect == "codex" and not said:
                said = await words_of_failed_turn(self._turn, opened.session_id, since=since)
            raise answered_with_error(error, self._redaction, said=said) from None
        self._client.late_until = time.monotonic() + self._turn.late_seconds
        await self._client.falls_quiet()
        tokens = await reported_tokens(self._turn, self._dialect, opened.session_id, answer.usage, since=since)
        self._meter.take_tokens(**tokens)
        self._meter.end_prompt()
        self._translation.say_usage()
        if (failure := failure_of(answer.field_meta) or self._client.model_failure) and failure.is_final:
            raise await turn_failed(failure, self._turn, opened.session_id, dialect=self._dialect, since=since)
        return answer

    async def _cancel_work(self, work: asyncio.Future[RunFinished], *, seconds: float) -> None:
        """Cancel the turn: send a cancel, later answer open requests as cancelled, and wait `seconds` for the agent."""
        if self._stop.silently:
            return
        self._requests.closing.set()
        if self._client.live and self._agent is not None and self._opened is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):  # an agent that reads no input blocks the cancel too
                    await self._client.cancel_turn()
                    await asyncio.wait({work})

    async def _time_is_up(self) -> None:
        """Return when the run exceeds its limit, counted from the prompt. Before the prompt the start limit applies."""
        await self._begun.wait()
        if self._turn.run.timeout_seconds is None:
            await asyncio.Event().wait()
        else:
            await self._requests.run_out(self._turn.run.timeout_seconds)

    def _warn(self, code: str, message: str) -> None:
        self._listener.say("run.warning", RunWarning(code=code, message=self._redaction.hide(message)))

    async def _tell_silence(self) -> None:
        """Warn once when the agent has said nothing for some seconds, and what its model last failed with."""
        await self._silence.reaches(self._turn.silence_told_seconds)
        self._warn("agent_silent", silence_told(self._turn.silence_told_seconds, self._latest_words()))

    def _latest_words(self) -> str | None:
        """Return the words of a failure that the model has not recovered from: the agent has said nothing since."""
        return self._model_words(since=self._silence.since - LOG_LAG_SECONDS)

    def _model_words(self, *, since: float = 0) -> str | None:
        """Return the words of the model's last failure, as far as the agent told them, or None."""
        failure = self._client.model_failure
        words = failure.words if failure else self._agent.process.model_words(since=since) if self._agent else None
        return None if words is None else self._redaction.hide(words)

    def _settled(self, answer: PromptResponse) -> RunFinished:
        """Return how the turn ended. A turn without any content is warned of."""
        if answer.stop_reason == "end_turn" and not self._requests.closing.is_set():
            if self._dialect == "codex" and not (self._meter.has_tokens or is_slashed(self._turn.run.prompt)):
                raise without_model(self._translation.last_words)
            if not (self._translation.has_content or self._meter.has_tokens):
                self._warn("empty_turn", EMPTY_TURN)
        return settled(answer)
