"""The demo agent's sessions: begun, taken up again, set, prompted, closed."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from acp import RequestError
from acp.interfaces import Client
from acp.schema import (
    AgentCapabilities,
    CloseSessionResponse,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PromptResponse,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionCloseCapabilities,
    SessionConfigOptionSelect,
    SessionConfigSelectOption,
    SessionMode,
    SessionModeState,
    SessionResumeCapabilities,
    SetSessionConfigOptionResponse,
    SetSessionModeResponse,
    TextContentBlock,
    UserMessageChunk,
)

from executor.agents.demo.conversation import MODELS, Conversation, keep, kept_file, take_up
from executor.agents.demo.orders import take_prompt
from executor.agents.demo.work import Cancelled, PromptRefused, Work

VERSION = "1.0"


class DemoAgent:
    """The agent side of the protocol; the package finds methods by name."""

    def __init__(self) -> None:
        self._conversations: dict[str, Conversation] = {}
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            raise RequestError.internal_error({"details": "not connected"})
        return self._client

    def on_connect(self, conn: Client) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        sessions = SessionCapabilities(resume=SessionResumeCapabilities(), close=SessionCloseCapabilities())
        return InitializeResponse(
            protocol_version=min(protocol_version, 1),
            agent_capabilities=AgentCapabilities(load_session=True, session_capabilities=sessions),
            agent_info=Implementation(name="runyard-demo", title="Runyard demo agent", version=VERSION),
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        one = Conversation(id=uuid.uuid4().hex, cwd=Path(cwd))
        self._conversations[one.id] = one
        keep(one)
        return NewSessionResponse(session_id=one.id, modes=_modes(one), config_options=_choices(one))

    async def resume_session(self, session_id: str, cwd: str, **_: Any) -> ResumeSessionResponse:
        one = self._take_up(session_id, cwd)
        return ResumeSessionResponse(modes=_modes(one), config_options=_choices(one))

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        one = self._take_up(session_id, cwd)
        for prompt in one.prompts:
            block = TextContentBlock(type="text", text=prompt)
            await self.client.session_update(
                one.id, UserMessageChunk(session_update="user_message_chunk", content=block)
            )
        return LoadSessionResponse(modes=_modes(one), config_options=_choices(one))

    async def set_session_mode(self, session_id: str, mode_id: str, **_: Any) -> SetSessionModeResponse:
        if mode_id not in ("ask", "auto"):
            raise RequestError.invalid_params({"details": f"no mode {mode_id}"})
        self._find(session_id).mode = mode_id
        return SetSessionModeResponse()

    async def set_config_option(
        self, *, config_id: str, session_id: str, value: str | bool, **_: Any
    ) -> SetSessionConfigOptionResponse:
        if config_id != "model" or value not in MODELS:
            raise RequestError.invalid_params({"details": f"no {config_id} {value}"})
        one = self._find(session_id)
        one.model = str(value)
        return SetSessionConfigOptionResponse(config_options=_choices(one))

    async def cancel(self, session_id: str, **_: Any) -> None:
        self._find(session_id).cancelled.set()

    async def close_session(self, session_id: str, **_: Any) -> CloseSessionResponse:
        self._conversations.pop(session_id, None)
        return CloseSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        one = self._find(session_id)
        one.cancelled.clear()
        one.words_out = 0
        texts = [block.text for block in prompt if getattr(block, "text", None)] or [""]
        text = "\n".join(texts)
        work = Work(one, self.client)
        keep(one, text)
        try:
            await take_prompt(work, texts[-1])  # what comes before it is only told
            stop: Any = "end_turn"
        except Cancelled:
            stop = "cancelled"
        except PromptRefused:
            stop = "refusal"
        usage = await work.say_usage(text)
        one.prompts.append(text)
        return PromptResponse(stop_reason=stop, usage=usage)

    def _take_up(self, session_id: str, cwd: str) -> Conversation:
        kept = kept_file(session_id)
        if not session_id.isalnum() or not kept.is_file():
            raise RequestError.resource_not_found(session_id)
        one = take_up(session_id, Path(cwd))
        self._conversations[one.id] = one
        return one

    def _find(self, session_id: str) -> Conversation:
        if session_id not in self._conversations:
            raise RequestError.resource_not_found(session_id)
        return self._conversations[session_id]


def _modes(one: Conversation) -> SessionModeState:
    known = [
        SessionMode(id="ask", name="Ask before writing"),
        SessionMode(id="auto", name="Write without asking"),
    ]
    return SessionModeState(available_modes=known, current_mode_id=one.mode)


def _choices(one: Conversation) -> list[Any]:
    options = [SessionConfigSelectOption(name=name, value=name) for name in MODELS]
    return [
        SessionConfigOptionSelect(
            id="model", name="Model", category="model", type="select", current_value=one.model, options=options
        )
    ]
