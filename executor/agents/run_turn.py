"""One agent turn over the Agent Client Protocol: `take_turn` starts the agent, hands it the prompt, and ends it.

It never raises for what an agent does; how a turn failed is in RunFinished.reason. Codes: program_missing,
install_failed, login_missing, unknown_model, unknown_mode, option_refused, agent_silent (nothing within its start
limit), home_unusable, agent_crashed, protocol_error, agent_error (its model failed), agent_refused, agent_lost,
max_tokens, max_turn_requests, timeout, disk_limit; cancelled turns: stopped, cancelled_by_answer, agent_cancelled.
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

from executor.agents.acp_client import Dialogue
from executor.agents.costs import cost_before, keep_cost
from executor.agents.declared import missing_login, pinned_version
from executor.agents.disk import disk_full, disk_is_full
from executor.agents.failures import TurnFailed, looks_like_login, said_by
from executor.agents.handover import first_message
from executor.agents.install import ensure_installed
from executor.agents.jsonl_transport import LineTransport
from executor.agents.launch import command_of, environment_of, make_ready, working_folder, workspace_folder
from executor.agents.open_session import Opened, open_session
from executor.agents.outcomes import CANCELLED_BY_ANSWER, LOST, STOPPED, brief, go_on, is_urgent, settled, timed_out
from executor.agents.pending_requests import Asks
from executor.agents.process import AgentProcess, start_process
from executor.agents.provider import Provider
from executor.agents.provider_settings import RunSettings, settings_for
from executor.agents.text import Redaction
from executor.agents.todos import TodoList
from executor.agents.translate import Translation
from executor.agents.turn import Listener, Stop, Turn
from executor.agents.usage import Meter
from schema.events import RunFinished, RunStarted, RunWarning

QUIET_SECONDS = 0.15
DRAIN_SECONDS = 1.0
CLOSE_SECONDS = 2.0
MOST_FOLLOWING_MESSAGES = 10
T = TypeVar("T")

_log = structlog.get_logger(__name__)


async def take_turn(turn: Turn, provider: Provider, listener: Listener, stop: Stop) -> RunFinished:
    """Let the agent take this turn; answers how it ended, when nothing of the agent runs any more."""
    driving = _Driving(turn, provider, listener, stop)
    try:
        return await driving.outcome()
    finally:
        await asyncio.shield(asyncio.ensure_future(driving.clear_away()))


class _Driving:
    """The state of one turn, from its first step to when the last process is gone."""

    def __init__(self, turn: Turn, provider: Provider, listener: Listener, stop: Stop) -> None:
        self._turn = turn
        self._provider = provider
        self._listener = listener
        self._stop = stop
        self._settings = RunSettings()
        self._cwd = working_folder(turn)
        self._redaction = Redaction(provider.secrets())
        self._meter = Meter(provider.prices)
        self._translation = Translation(listener.say, self._meter, TodoList(provider.name, turn.todos))
        self._asks = Asks(listener)
        self._dialogue = Dialogue(self._translation, self._asks, cwd=self._cwd, workspace=workspace_folder(turn))
        self._process: AgentProcess | None = None
        self._transport: LineTransport | None = None
        self._connection: ClientSideConnection | None = None
        self._opened: Opened | None = None
        self._patiently = False
        self._begun = asyncio.Event()

    async def outcome(self) -> RunFinished:
        work = asyncio.ensure_future(self._work())
        ends = {
            asyncio.ensure_future(self._stop.wanted.wait()): STOPPED,
            asyncio.ensure_future(self._asks.cancelled.wait()): CANCELLED_BY_ANSWER,
            asyncio.ensure_future(self._time_is_up()): timed_out(self._turn.timeout_seconds),
            asyncio.ensure_future(disk_is_full(self._turn)): disk_full(self._turn.disk_bytes),
        }
        try:
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            ended = next((finished for task, finished in ends.items() if task.done()), None)
            finished = ended or work.result()
            if not work.done():
                await self._break_off(work, seconds=0 if is_urgent(finished) else self._stop.grace_seconds)
        finally:
            for task in (work, *ends):
                task.cancel()
        return self._closed(finished)

    def _closed(self, finished: RunFinished) -> RunFinished:
        """With what was still open ended, and the usage."""
        if not self._dialogue.live:
            return finished
        self._dialogue.live = False
        if self._opened is not None and self._meter.session_cost is not None:
            keep_cost(self._turn, self._opened.session_id, self._meter.session_cost)
        self._translation.end_message(finished.stop_reason or finished.status)
        if finished.status != "succeeded":
            self._translation.end_calls()
        return finished.model_copy(update={"usage": self._meter.final()})

    async def clear_away(self) -> None:
        """End the agent and all that it started."""
        if self._process is not None:
            await self._process.end(patiently=self._patiently)
        if self._connection is not None:
            await self._connection.close()

    async def _work(self) -> RunFinished:
        try:
            opened = await self._open()
            await self._listener.begin(self._started(opened))
            self._begun.set()
            answer = await self._hand_over_prompt(opened)
            await self._close_session(opened)
            return settled(answer)
        except TurnFailed as failed:
            _log.warning("agent.turn_failed", code=failed.code, reason=failed.message)
            return failed.finished()

    async def _open(self) -> Opened:
        """The agent started and its session ready, within the start limit (the installation does not count)."""
        self._settings = settings_for(self._turn, self._provider)
        if reason := missing_login(self._provider):
            raise TurnFailed("login_missing", reason)
        await ensure_installed(self._provider, self._provider.agents_dir, self._say_installing)
        make_ready(self._provider, self._turn, self._cwd)
        connection = await self._start()
        earlier = self._turn.resume.agent_session_id if self._turn.resume else None
        opening = open_session(
            connection,
            cwd=self._cwd,
            settings=self._settings,
            authenticate=self._provider.authenticate,
            earlier=earlier,
            warn=self._warn,
        )
        try:
            async with asyncio.timeout(self._provider.start_seconds):
                self._opened = await self._answered(opening)
        except TimeoutError:
            raise TurnFailed("agent_silent", self._silence()) from None
        if self._turn.continues and not self._opened.resumed:
            raise TurnFailed("agent_lost", LOST)
        self._dialogue.session_id = self._opened.session_id
        return self._opened

    async def _start(self) -> ClientSideConnection:
        self._process = await start_process(
            command_of(self._provider),
            cwd=self._cwd,
            environment=environment_of(self._provider, self._turn, self._settings.environment),
            session_id=self._turn.session_id,
            account=self._turn.account,
            disk_bytes=self._turn.disk_bytes,
            redaction=self._redaction,
        )
        self._transport = LineTransport(self._process.stdout, self._process.stdin, self._redaction)
        self._connection = connect_to_agent(self._dialogue.as_client(), self._transport, use_unstable_protocol=True)
        return self._connection

    async def _hand_over_prompt(self, opened: Opened) -> PromptResponse:
        """The answer to the prompt, and to what has to be said after denials."""
        known = cost_before(self._turn, opened.session_id)
        self._meter.begin_turn(opened.model, before=known if opened.resumed else 0.0)
        self._dialogue.live = True
        first = [go_on(self._turn)] if self._turn.continues else first_message(self._turn, self._listener)
        answer = await self._prompt(opened, *first)
        for _ in range(MOST_FOLLOWING_MESSAGES):
            following = self._dialogue.take_following_message(ended=answer.stop_reason == "cancelled")
            if following is None or self._asks.closing.is_set():
                break
            self._translation.end_message("denied")
            self._translation.end_calls()
            self._translation.say_as_user(following)
            answer = await self._prompt(opened, following)
        return answer

    async def _prompt(self, opened: Opened, *texts: str) -> PromptResponse:
        assert self._connection is not None
        try:
            answer = await self._answered(
                self._connection.prompt(session_id=opened.session_id, prompt=[text_block(text) for text in texts])
            )
        except RequestError as error:
            code = "login_missing" if looks_like_login(error) else "agent_error"
            raise TurnFailed(code, f"The agent could not answer: {self._redaction.hide(said_by(error))}") from None
        await self._drain()
        self._take_usage(answer)
        return answer

    def _take_usage(self, answer: PromptResponse) -> None:
        said = answer.usage
        if said is not None:
            self._meter.take_tokens(
                input_tokens=said.input_tokens,
                output_tokens=said.output_tokens,
                cached_read_tokens=said.cached_read_tokens,
                cached_write_tokens=said.cached_write_tokens,
            )
        self._meter.end_prompt()
        self._translation.say_usage()

    async def _answered(self, call: Awaitable[T]) -> T:
        """The agent's answer, unless it ends first; what it wrote last may still be on its way then."""
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
            raise TurnFailed("protocol_error", f"The agent's answer is not of the protocol: {brief(error)}") from None
        finally:
            request.cancel()
            ended.cancel()

    async def _drain(self) -> None:
        """Updates and the last usage can come after the answer: wait until it is quiet."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._dialogue.hears_more(QUIET_SECONDS):
                    pass

    async def _close_session(self, opened: Opened) -> None:
        self._patiently = True
        if opened.closes and self._connection is not None:
            with contextlib.suppress(TimeoutError, RequestError, ConnectionError, ValidationError):
                await asyncio.wait_for(self._connection.close_session(opened.session_id), CLOSE_SECONDS)

    async def _break_off(self, work: asyncio.Future[RunFinished], *, seconds: float) -> None:
        """Open requests are answered as cancelled, the agent is told to cancel, and gets so many seconds for it."""
        if self._stop.silently:
            return
        self._asks.closing.set()
        if self._dialogue.live and self._connection is not None and self._opened is not None:
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):  # one that reads nothing cannot even be told
                    with contextlib.suppress(ConnectionError):
                        await self._connection.cancel(self._opened.session_id)
                    await asyncio.wait({work})

    async def _time_is_up(self) -> None:
        """The run's limit counts from when the prompt is handed over; until then the start limit holds."""
        await self._begun.wait()
        if self._turn.timeout_seconds is None:
            await asyncio.Event().wait()
        else:
            await self._asks.run_out(self._turn.timeout_seconds)

    def _started(self, opened: Opened) -> RunStarted:
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
        words = self._process.last_words() if self._process else ""
        said = f" It wrote to stderr: {words}" if words else ""
        limit = self._provider.start_seconds
        return f"The agent was not ready within {limit:g} seconds.{self._garbage()}{said}"

    def _garbage(self) -> str:
        if self._transport is None or not self._transport.garbage_lines:
            return ""
        count, last = self._transport.garbage_lines, self._transport.last_garbage
        return f" It printed {count} lines that are not of the protocol, the last one: {last}"

    def _end_code(self) -> Literal["agent_crashed", "protocol_error"]:
        spoke = self._opened is not None or not (self._transport and self._transport.garbage_lines)
        return "agent_crashed" if spoke else "protocol_error"
