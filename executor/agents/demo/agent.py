"""Serve the demo agent's sessions: start, resume, configure, prompt, close."""

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
    PromptCapabilities,
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

from executor.agents.demo.commands import go_on, run_prompt
from executor.agents.demo.conversation import MODELS, Conversation, conversation_file, load, save
from executor.agents.demo.work import Cancelled, PromptRefused, Work

VERSION = "1.0"


class DemoAgent:
    """Implement the agent's side of the protocol. The acp package finds methods by name."""

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
            agent_capabilities=AgentCapabilities(
                load_session=True,
                session_capabilities=sessions,
                prompt_capabilities=PromptCapabilities(image=True),
            ),
            agent_info=Implementation(name="runyard-demo", title="Runyard demo agent", version=VERSION),
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        conversation = Conversation(id=uuid.uuid4().hex, cwd=Path(cwd))
        self._conversations[conversation.id] = conversation
        save(conversation)
        return NewSessionResponse(
            session_id=conversation.id, modes=_modes(conversation), config_options=_choices(conversation)
        )

    async def resume_session(self, session_id: str, cwd: str, **_: Any) -> ResumeSessionResponse:
        conversation = self._resume(session_id, cwd)
        return ResumeSessionResponse(modes=_modes(conversation), config_options=_choices(conversation))

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        conversation = self._resume(session_id, cwd)
        for prompt in conversation.prompts:
            block = TextContentBlock(type="text", text=prompt)
            await self.client.session_update(
                conversation.id, UserMessageChunk(session_update="user_message_chunk", content=block)
            )
        return LoadSessionResponse(modes=_modes(conversation), config_options=_choices(conversation))

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
        conversation = self._find(session_id)
        conversation.model = str(value)
        return SetSessionConfigOptionResponse(config_options=_choices(conversation))

    async def cancel(self, session_id: str, **_: Any) -> None:
        self._find(session_id).cancelled.set()

    async def close_session(self, session_id: str, **_: Any) -> CloseSessionResponse:
        self._conversations.pop(session_id, None)
        return CloseSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **meta: Any) -> PromptResponse:
        """Take a turn. An `internal` prompt (in `_meta`) is the client's own, and is never shown."""
        conversation = self._find(session_id)
        conversation.cancelled.clear()
        conversation.words_out = 0
        texts = [block.text for block in prompt if getattr(block, "text", None)] or [""]
        text = "\n".join(texts)
        work = Work(conversation, self.client)
        is_own = not meta.get("internal")
        heard: str | dict[str, str] = text if is_own else {"internal": text}
        save(conversation, heard)
        try:
            for image in (block for block in prompt if block.type == "image"):
                await work.say(f"I see an image of the type {image.mime_type}.")
            # Earlier blocks are context only.
            await (run_prompt(work, texts[-1]) if is_own else go_on(work))
            stop: Any = "end_turn"
        except Cancelled:
            stop = "cancelled"
        except PromptRefused:
            stop = "refusal"
        usage = await work.say_usage(text)
        conversation.heard.append(heard)
        return PromptResponse(stop_reason=stop, usage=usage)

    def _resume(self, session_id: str, cwd: str) -> Conversation:
        file = conversation_file(session_id)
        if not session_id.isalnum() or not file.is_file():
            raise RequestError.resource_not_found(session_id)
        conversation = load(session_id, Path(cwd))
        self._conversations[conversation.id] = conversation
        return conversation

    def _find(self, session_id: str) -> Conversation:
        if session_id not in self._conversations:
            raise RequestError.resource_not_found(session_id)
        return self._conversations[session_id]


def _modes(conversation: Conversation) -> SessionModeState:
    known = [
        SessionMode(id="ask", name="Ask before writing"),
        SessionMode(id="auto", name="Write without asking"),
    ]
    return SessionModeState(available_modes=known, current_mode_id=conversation.mode)


def _choices(conversation: Conversation) -> list[Any]:
    options = [SessionConfigSelectOption(name=name, value=name) for name in MODELS]
    return [
        SessionConfigOptionSelect(
            id="model", name="Model", category="model", type="select", current_value=conversation.model, options=options
        )
    ]
