"""Our side of the protocol: what an agent may call. Files and terminals are not offered, so they are refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import structlog
from acp import Client, RequestError
from acp.schema import (
    AcceptElicitationResponse,
    AllowedOutcome,
    CancelElicitationResponse,
    CreateElicitationResponse,
    DeclineElicitationResponse,
    DeniedOutcome,
    ElicitationFormRequestMode,
    ElicitationFormSessionMode,
    PermissionOption,
    RequestPermissionResponse,
    ToolCallUpdate,
    UsageUpdate,
)
from pydantic import BaseModel

from executor.agents.pending_requests import Asks
from executor.agents.permissions import choose, permission_request, question_request
from executor.agents.text import clean_json
from executor.agents.translate import Translation
from schema.events import HumanRequested
from schema.executor_api import Answer

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Denial:
    """What was not allowed, or not answered. The protocol has no place for the reason, and some agents can only be
    denied by an option that also ends their turn: both are made good by a following message."""

    request: HumanRequested
    answer: Answer
    ended_the_turn: bool

    @property
    def reason(self) -> str | None:
        return self.answer.reason

    def as_message(self) -> str:
        """It never says that a person said no when none did."""
        verb = "answer" if self.request.kind == "question" else "allow"
        denied = {
            "person": f"I did not {verb} this",
            "rule": f"A rule does not {verb} this",
            "timeout": f"This was not {verb}ed",
        }
        because = f" The reason given: {self.reason}" if self.reason else ""
        return f"[Runyard] {denied[self.answer.by]}: {self.request.title}.{because} Go on with the task without it."


class Dialogue:
    """Takes an agent's calls during one turn.

    Updates are translated at once, before anything is awaited: the package runs each in a task of its own, and so they
    keep their order. Before `live` they are a replay of history and are dropped, but for what was paid until then.
    """

    def __init__(self, translation: Translation, asks: Asks, *, cwd: Path, workspace: Path) -> None:
        self._translation = translation
        self._asks = asks
        self._cwd = cwd
        self._workspace = workspace
        self.session_id: str | None = None
        self.live = False
        self.denials: list[Denial] = []
        self._heard = asyncio.Event()

    def as_client(self) -> Client:
        """The package finds methods by name; those that are not there it refuses."""
        return cast(Client, self)

    async def hears_more(self, seconds: float) -> bool:
        """Whether another update comes within so many seconds from now."""
        self._heard.clear()
        try:
            await asyncio.wait_for(self._heard.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def take_following_message(self, *, ended: bool) -> str | None:
        """What has to be said after the agent's answer: denials that ended its turn (`ended`), or that had a reason."""
        denials, self.denials = self.denials, []
        telling = [one for one in denials if one.reason or (ended and one.ended_the_turn)]
        return "\n".join(one.as_message() for one in telling) or None

    async def session_update(self, session_id: str, update: BaseModel, **_: Any) -> None:
        self._heard.set()
        if self.live and session_id == self.session_id:
            self._translation.take(update)
        elif isinstance(update, UsageUpdate):
            self._translation.take_earlier_usage(update)

    async def request_permission(
        self, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: Any
    ) -> RequestPermissionResponse:
        known = self._translation.known_call(tool_call.tool_call_id)
        request = permission_request(tool_call, options, cwd=self._cwd, workspace=self._workspace, known=known)
        answer = await self._asks.ask(request)
        if answer is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        choice = choose(answer, options)
        self._asks.say_applied(answer, choice.told, cancels=choice.option_id is None)
        if answer.decision == "deny":
            self.denials.append(Denial(request, answer, choice.denies_and_ends_the_turn))
        if choice.option_id is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=choice.option_id))

    async def create_elicitation(self, message: str, mode: BaseModel, **_: Any) -> CreateElicitationResponse:
        if not isinstance(mode, ElicitationFormSessionMode | ElicitationFormRequestMode):
            raise RequestError.invalid_params({"details": "only forms can be answered here"})
        schema = clean_json(mode.requested_schema.model_dump(mode="json", by_alias=True, exclude_none=True))
        request = question_request(message, schema, cwd=self._cwd)
        answer = await self._asks.ask(request)
        if answer is None:
            return CancelElicitationResponse(action="cancel")
        response = _elicited(answer)
        self._asks.say_applied(answer, response.action, cancels=response.action == "cancel")
        if response.action == "decline":
            self.denials.append(Denial(request, answer, ended_the_turn=False))
        return response

    async def ext_method(self, method: str, _params: dict[str, Any]) -> dict[str, Any]:
        raise RequestError.method_not_found(f"_{method}")

    async def ext_notification(self, method: str, _params: dict[str, Any]) -> None:
        _log.debug("agent.extension", method=method[:100])

    async def _refuse(self, **_: Any) -> NoReturn:
        raise RequestError.method_not_found("not offered by this client")

    create_terminal = terminal_output = release_terminal = wait_for_terminal_exit = kill_terminal = _refuse


def _elicited(answer: Answer) -> AcceptElicitationResponse | DeclineElicitationResponse | CancelElicitationResponse:
    if answer.decision == "cancel":
        return CancelElicitationResponse(action="cancel")
    if answer.decision == "deny" or answer.answers is None:
        return DeclineElicitationResponse(action="decline")
    return AcceptElicitationResponse.model_validate({"action": "accept", "content": answer.answers})
