"""Run one agent turn over the Agent Client Protocol: `take_turn` starts the agent, sends the prompt, and ends it.

It never raises for the agent's behaviour: RunFinished.reason says how a turn failed. Codes: program_missing,
install_failed, login_missing, unknown_model, unknown_mode, option_refused, agent_silent (not ready within its start
limit), home_unusable, agent_crashed, protocol_error, agent_error (its model failed), agent_refused, agent_lost,
max_tokens, max_turn_requests, timeout, disk_limit. Cancelled turns: stopped, cancelled_by_answer, agent_cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Literal, TypeVar

import structlog
from acp import RequestError, connect_to_agent, text_block
from acp.client import ClientSideConnection
from acp.schema import PromptResponse
from pydantic import ValidationError

from executor.agents.acp_client import AcpClient
from executor.agents.attachments import Block
from executor.agents.costs import cost_before, keep_cost
from executor.agents.declared import missing_login, pinned_version
from executor.agents.disk import disk_full, disk_is_full
from executor.agents.failures import TurnFailed, error_text, looks_like_login
from executor.agents.handover import first_message
from executor.agents.install import ensure_installed
from executor.agents.jsonl_transport import LineTransport
from executor.agents.launch import command_of, environment_of, folders_of, prepare_folders
from executor.agents.open_session import OpenSession, open_session
from executor.agents.outcomes import (
    CANCELLED_BY_ANSWER,
    LOST,
    STOPPED,
    first_fault,
    is_urgent,
    resume_prompt,
    settled,
    timed_out,
)
from executor.agents.pending_requests import PendingRequests
from executor.agents.process import AgentProcess, start_process
from executor.agents.provider import Provider
from executor.agents.provider_settings import RunSettings, settings_for
from executor.agents.text import Redaction
from executor.agents.todos import TodoList
from executor.agents.translate import Translation
from executor.agents.turn import Listener, Stop, Turn
from executor.agents.usage import UsageMeter
from schema.events import RunFinished, RunStarted, RunWarning

QUIET_SECONDS = 0.15
DRAIN_SECONDS = 1.0
CLOSE_SECONDS = 2.0
MOST_FOLLOW_UPS = 10
T = TypeVar("T")

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
        self._listener = listener
        self._stop = stop
        self._settings = RunSettings()
        folders = folders_of(turn)
        self._cwd = folders.cwd
        self._redaction = Redaction(provider.secrets())
        self._meter = UsageMeter(provider.prices)
        self._translation = Translation(listener.say, self._meter, TodoList(provider.name, turn.run.todos), folders)
        self._requests = PendingRequests(listener)
        self._client = AcpClient(self._translation, self._requests, folders)
        self._process: AgentProcess | None = None
        self._transport: LineTransport | None = None
        self._connection: ClientSideConnection | None = None
        self._opened: OpenSession | None = None
        self._gracefully = False
        self._begun = asyncio.Event()

    async def outcome(self) -> RunFinished:
        work = asyncio.ensure_future(self._work())
        ends = {
            asyncio.ensure_future(self._stop.wanted.wait()): STOPPED,
            asyncio.ensure_future(self._requests.cancelled.wait()): CANCELLED_BY_ANSWER,
            asyncio.ensure_future(self._time_is_up()): timed_out(self._turn.run.timeout_seconds),
            asyncio.ensure_future(disk_is_full(self._turn)): disk_full(self._turn.disk_bytes),
        }
        try:
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            ended = next((finished for task, finished in ends.items() if task.done()), None)
            finished = ended or work.result()
            if not work.done():
                await self._cancel_work(work, seconds=0 if is_urgent(finished) else self._stop.grace_seconds)
        finally:
            for task in (work, *ends):
                task.cancel()
        return self._finalized(finished)

    def _finalized(self, finished: RunFinished) -> RunFinished:
        """End open messages and calls, and add the usage to the turn's end."""
        if not self._client.live:
            return finished
        self._client.live = False
        if self._opened is not None and self._meter.session_cost is not None:
            keep_cost(self._turn, self._opened.session_id, self._meter.session_cost)
        self._translation.end_message(finished.stop_reason or finished.status)
        if finished.status != "succeeded":
            self._translation.end_calls()
        return finished.model_copy(update={"usage": self._meter.final()})

    async def clean_up(self) -> None:
        """End the agent and every process that it started."""
        if self._process is not None:
            await self._process.end(gracefully=self._gracefully)
        if self._connection is not None:
            await self._connection.close()

    async def _work(self) -> RunFinished:
        try:
            opened = await self._open()
            await self._listener.begin(self._started(opened))
            self._begun.set()
            answer = await self._send_prompt(opened)
            await self._close_session(opened)
            return settled(answer)
        except TurnFailed as failed:
            _log.warning("agent.turn_failed", code=failed.code, reason=failed.message)
            return failed.finished()

    async def _open(self) -> OpenSession:
        """Start the agent and open its session within the start limit. Installation does not count against the
        limit."""
        self._settings = settings_for(self._turn, self._provider)
        if reason := missing_login(self._provider):
            raise TurnFailed("login_missing", reason)
        await ensure_installed(self._provider, self._provider.agents_dir, self._say_installing)
        prepare_folders(self._provider, self._turn, self._cwd)
        connection = await self._start()
        earlier_id = self._turn.run.resume.agent_session_id if self._turn.run.resume else None
        opening = open_session(
            connection,
            cwd=self._cwd,
            settings=self._settings,
            authenticate=self._provider.authenticate,
            earlier_id=earlier_id,
            warn=self._warn,
        )
        try:
            async with asyncio.timeout(self._provider.start_seconds):
                self._opened = await self._answered(opening)
        except TimeoutError:
            raise TurnFailed("agent_silent", self._silence()) from None
        if self._turn.continues and not self._opened.resumed:
            raise TurnFailed("agent_lost", LOST)
        self._client.session_id = self._opened.session_id
        return self._opened

    async def _start(self) -> ClientSideConnection:
        self._process = await start_process(
            command_of(self._provider),
            cwd=self._cwd,
            environment=environment_of(self._provider, self._turn, self._settings.environment),
            session_id=self._turn.run.session_id,
            account=self._turn.account,
            disk_bytes=self._turn.disk_bytes,
            redaction=self._redaction,
        )
        self._transport = LineTransport(self._process.stdout, self._process.stdin, self._redaction)
        self._connection = connect_to_agent(self._client.as_client(), self._transport, use_unstable_protocol=True)
        return self._connection

    async def _send_prompt(self, opened: OpenSession) -> PromptResponse:
        """Send the prompt, then messages about denials. Return the last answer."""
        known = cost_before(self._turn, opened.session_id)
        self._meter.begin_turn(opened.model, before=known if opened.resumed else 0.0)
        self._client.live = True
        answer = await self._prompt(opened, await self._first_blocks(opened))
        for _ in range(MOST_FOLLOW_UPS):
            follow_up = self._client.take_follow_up(ended=answer.stop_reason == "cancelled")
            if follow_up is None or self._requests.closing.is_set():
                break
            self._translation.end_message("denied")
            self._translation.end_calls()
            self._translation.say_as_user(follow_up)
            answer = await self._prompt(opened, [text_block(follow_up)])
        return answer

    async def _first_blocks(self, opened: OpenSession) -> list[Block]:
        if self._turn.continues:
            return [text_block(resume_prompt(self._turn))]
        return await first_message(self._turn, self._listener, takes_images=opened.takes_images)

    async def _prompt(self, opened: OpenSession, blocks: list[Block]) -> PromptResponse:
        assert self._connection is not None
        try:
            answer = await self._answered(self._connection.prompt(session_id=opened.session_id, prompt=list(blocks)))
        except RequestError as error:
            code = "login_missing" if looks_like_login(error) else "agent_error"
            raise TurnFailed(
                code, f"The agent answered with an error: {self._redaction.hide(error_text(error))}"
            ) from None
        await self._drain()
        self._take_usage(answer)
        return answer

    def _take_usage(self, answer: PromptResponse) -> None:
        usage = answer.usage
        if usage is not None:
            self._meter.take_tokens(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_read_tokens=usage.cached_read_tokens,
                cached_write_tokens=usage.cached_write_tokens,
            )
        self._meter.end_prompt()
        self._translation.say_usage()

    async def _answered(self, call: Awaitable[T]) -> T:
        """Wait for the agent's answer. When the agent ends first, give its last output a second to arrive."""
        assert self._process is not None
        request = asyncio.ensure_future(call)
        ended = asyncio.ensure_future(self._process.ended())
        try:
            await asyncio.wait({request, ended}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({request}, timeout=1.0)
            if not request.done():
                raise TurnFailed("agent_crashed", await self._process.how_it_ended())
            return await request
        except ConnectionError:
            raise TurnFailed(self._end_code(), await self._process.how_it_ended() + self._garbage()) from None
        except ValidationError as error:
            raise TurnFailed(
                "protocol_error", f"The agent's answer violates the protocol: {first_fault(error)}"
            ) from None
        finally:
            request.cancel()
            ended.cancel()

    async def _drain(self) -> None:
        """Wait until the agent is quiet, because updates and the last usage can follow the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._client.receives_more(QUIET_SECONDS):
                    pass

    async def _close_session(self, opened: OpenSession) -> None:
        self._gracefully = True
        if opened.closes and self._connection is not None:
            with contextlib.suppress(TimeoutError, RequestError, ConnectionError, ValidationError):
                await asyncio.wait_for(self._connection.close_session(opened.session_id), CLOSE_SECONDS)

    async def _cancel_work(self, work: asyncio.Future[RunFinished], *, seconds: float) -> None:
        """Cancel the turn: answer open requests as cancelled, send a cancel, and wait `seconds` for the agent."""
        if self._stop.silently:
            return
        self._requests.closing.set()
        if self._client.live and self._connection is not None and self._opened is not None:
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):  # an agent that reads no input blocks the cancel too
                    with contextlib.suppress(ConnectionError):
                        await self._connection.cancel(self._opened.session_id)
                    await asyncio.wait({work})

    async def _time_is_up(self) -> None:
        """Return when the run exceeds its limit, counted from the prompt. Before the prompt the start limit applies."""
        await self._begun.wait()
        if self._turn.run.timeout_seconds is None:
            await asyncio.Event().wait()
        else:
            await self._requests.run_out(self._turn.run.timeout_seconds)

    def _started(self, opened: OpenSession) -> RunStarted:
        version = pinned_version(self._provider) or opened.agent.version
        return RunStarted(
            provider=self._provider.name,
            agent=opened.agent.model_copy(update={"version": version}),
            agent_session_id=opened.session_id,
            resumed=opened.resumed,
        )

    def _warn(self, code: str, message: str) -> None:
        self._listener.say("run.warning", RunWarning(code=code, message=self._redaction.hide(message)))

    def _say_installing(self, line: str) -> None:
        self._warn("agent_installing", line)

    def _silence(self) -> str:
        words = self._process.last_output() if self._process else ""
        stderr = f" It wrote to stderr: {words}" if words else ""
        limit = self._provider.start_seconds
        return f"The agent was not ready within {limit:g} seconds.{self._garbage()}{stderr}"

    def _garbage(self) -> str:
        if self._transport is None or not self._transport.garbage_lines:
            return ""
        count, last = self._transport.garbage_lines, self._transport.last_garbage
        return f" It printed {count} lines that are not ACP messages, the last one: {last}"

    def _end_code(self) -> Literal["agent_crashed", "protocol_error"]:
        has_spoken = self._opened is not None or not (self._transport and self._transport.garbage_lines)
        return "agent_crashed" if has_spoken else "protocol_error"
