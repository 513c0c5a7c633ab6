"""Answer the calls of an agent: the client's side of the protocol. File and terminal calls are not offered and
refused."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import structlog
from acp import Client, RequestError
from acp.client import ClientSideConnection
from acp.schema import (
    AcceptElicitationResponse,
    AgentMessageChunk,
    AgentThoughtChunk,
    AllowedOutcome,
    AvailableCommandsUpdate,
    CancelElicitationResponse,
    CreateElicitationResponse,
    DeclineElicitationResponse,
    DeniedOutcome,
    ElicitationFormRequestMode,
    ElicitationFormSessionMode,
    PermissionOption,
    RequestPermissionResponse,
    SessionInfoUpdate,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
)
from pydantic import BaseModel

from executor.agents.agent_folders import AgentFolders
from executor.agents.model_failures import ModelFailure, failure_of
from executor.agents.pending_requests import PendingRequests
from executor.agents.permissions import TITLE_BYTES, choose, permission_request, question_request
from executor.agents.text import Redaction, clean_json, cut_text
from executor.agents.translate import Translation
from schema.events import HumanRequested
from schema.executor_api import Answer
from schema.forms import fault_of_form

COMMANDS_SECONDS = 1.0
QUIET_SECONDS = 0.15
DRAIN_SECONDS = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Denial:
    """Record a request that was denied or not answered.

    The protocol cannot carry the reason, and some agents offer only a denial that also ends their turn. A following
    message makes up for both.
    """

    request: HumanRequested
    answer: Answer
    ended_the_turn: bool

    @property
    def reason(self) -> str | None:
        return self.answer.reason

    def as_message(self) -> str:
        """Return the message to the agent. It never claims that a person denied when none did."""
        title = cut_text(self.request.title, TITLE_BYTES)
        verb = "answer" if self.request.kind == "question" else "allow"
        denied = {
            "person": f"I did not {verb} this",
            "rule": f"A rule does not {verb} this",
            "timeout": f"This was not {verb}ed",
        }
        because = f" The reason given: {self.reason}" if self.reason else ""
        return f"[Runyard] {denied[self.answer.by]}: {title}.{because} Go on with the task without it."


class AcpClient:
    """Take an agent's calls during one turn.

    Updates are translated before anything is awaited: the acp package runs each in its own task, and so the order is
    kept. Before `live`, updates are a replay of history and are dropped, except for reported costs. After it, only text
    that comes until `late_until` is taken.
    """

    def __init__(
        self, translation: Translation, requests: PendingRequests, folders: AgentFolders, redaction: Redaction
    ) -> None:
        self._translation = translation
        self._requests = requests
        self._folders = folders
        self._redaction = redaction
        self.session_id: str | None = None
        self.connection: ClientSideConnection | None = None
        """The way to the agent, once it runs."""
        self._has_cancelled = False
        self.live = False
        self.denials: list[Denial] = []
        self._commands: list[str] = []
        self._commands_told = asyncio.Event()
        self.model_failure: ModelFailure | None = None
        """The last failure of the agent's model in this turn, None after a word of the model."""
        self._received = asyncio.Event()
        self.late_until = 0.0
        """Until this time of the monotonic clock, text is recorded although the turn is over."""

    def as_client(self) -> Client:
        """Return this object as the package's client type. The package refuses methods that do not exist."""
        return cast(Client, self)

    async def falls_quiet(self) -> None:
        """Wait until the agent is quiet, because updates and the last usage can follow its answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._receives_more(QUIET_SECONDS):
                    pass

    async def _receives_more(self, seconds: float) -> bool:
        """Wait for another update. Return False when none comes within `seconds`."""
        self._received.clear()
        try:
            await asyncio.wait_for(self._received.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def own_commands(self) -> list[str]:
        """Return the names of the agent's own commands. Agents tell them soon after the session's start."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._commands_told.wait(), COMMANDS_SECONDS)
        return self._commands

    def take_follow_up(self, *, ended: bool) -> str | None:
        """Return the message to send after the agent's answer, or None.

        It names denials that ended the turn (`ended`) and denials with a reason.
        """
        denials, self.denials = self.denials, []
        reported = [denial for denial in denials if denial.reason or (ended and denial.ended_the_turn)]
        return "\n".join(denial.as_message() for denial in reported) or None

    async def session_update(self, session_id: str, update: BaseModel, **_: Any) -> None:
        self._received.set()
        if isinstance(update, AvailableCommandsUpdate):
            self._commands = [command.name for command in update.available_commands]
            self._commands_told.set()
        elif self.live and session_id == self.session_id:
            self._take(update)
        elif session_id == self.session_id and time.monotonic() < self.late_until:
            self._translation.take_late(update)
        elif isinstance(update, UsageUpdate):
            self._translation.take_earlier_usage(update)

    def _take(self, update: BaseModel) -> None:
        if isinstance(update, SessionInfoUpdate) and (failure := failure_of(update.field_meta)) is not None:
            self._take_failure(failure)
        elif isinstance(update, AgentMessageChunk | AgentThoughtChunk | ToolCallStart):
            self.model_failure = None
        self._translation.take(update)

    def _take_failure(self, failure: ModelFailure) -> None:
        if failure.is_notice:
            self._translation.say_notice(self._redaction.hide(failure.words))
        else:
            self.model_failure = failure
            self._translation.give_up_message()

    async def request_permission(
        self, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: Any
    ) -> RequestPermissionResponse:
        known = self._translation.known_call(tool_call.tool_call_id)
        request = permission_request(tool_call, options, folders=self._folders, known=known)
        self._translation.show_held()
        answer = await self._requests.ask(request)
        choice = choose(answer, options) if answer else None
        if answer is None or choice is None or choice.option_id is None:
            await self._end_turn(answer)
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        self._requests.say_applied(answer, choice.told)
        if answer.decision == "deny":
            self.denials.append(Denial(request, answer, choice.denies_and_ends_the_turn))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=choice.option_id))

    async def _end_turn(self, answer: Answer | None) -> None:
        """Return when the agent may hear that its request is cancelled: by this answer, or with its turn (None)."""
        if answer is not None:
            self._requests.say_cancelled(answer, sent=await self.cancel_turn())
        await self._requests.hold_back()

    async def cancel_turn(self) -> bool:
        """Tell the agent once that its turn is cancelled. Return False when it ended before."""
        try:
            if self.connection is not None and self.session_id is not None and not self._has_cancelled:
                self._has_cancelled = True
                await self.connection.cancel(self.session_id)
        except ConnectionError:
            self._has_cancelled = False
        return self._has_cancelled or self.session_id is None

    async def create_elicitation(self, message: str, mode: BaseModel, **_: Any) -> CreateElicitationResponse:
        if not isinstance(mode, ElicitationFormSessionMode | ElicitationFormRequestMode):
            raise RequestError.invalid_params({"details": "this client answers forms only"})
        schema = clean_json(mode.requested_schema.model_dump(mode="json", by_alias=True, exclude_none=True))
        if (fault := fault_of_form(schema)) is not None:
            self._translation.say_warning("question_left_out", f"A question of the agent was not asked. {fault}")
            raise RequestError.invalid_params({"details": fault})
        request = question_request(message, schema, cwd=self._folders.cwd)
        self._translation.show_held()
        answer = await self._requests.ask(request)
        if answer is None or answer.decision == "cancel":
            await self._end_turn(answer)
            return CancelElicitationResponse(action="cancel")
        response = _elicitation_response(answer)
        self._requests.say_applied(answer, response.action)
        if response.action == "decline":
            self.denials.append(Denial(request, answer, ended_the_turn=False))
        return response

    async def ext_method(self, method: str, _params: dict[str, Any]) -> dict[str, Any]:
        raise RequestError.method_not_found(f"_{method}")

    async def ext_notification(self, method: str, _params: dict[str, Any]) -> None:
        _log.debug("agent.extension", method=method[:100])

    async def _refuse(self, **_: Any) -> NoReturn:
        raise RequestError.method_not_found("this client does not offer the method")

    create_terminal = terminal_output = release_terminal = wait_for_terminal_exit = kill_terminal = _refuse


def _elicitation_response(answer: Answer) -> AcceptElicitationResponse | DeclineElicitationResponse:
    if answer.decision == "deny" or answer.answers is None:
        return DeclineElicitationResponse(action="decline")
    return AcceptElicitationResponse.model_validate({"action": "accept", "content": answer.answers})
