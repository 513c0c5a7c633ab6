"""Turn a connected agent into a session that is ready for its prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
from acp import PROTOCOL_VERSION, RequestError
from acp.client import ClientSideConnection
from acp.schema import (
    AgentCapabilities,
    ClientCapabilities,
    ElicitationCapabilities,
    ElicitationFormCapabilities,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    ResumeSessionResponse,
    SessionConfigOptionSelect,
)

from executor.agents.failures import TurnFailed, error_text, looks_like_login
from executor.agents.provider_settings import RunSettings
from schema.events import LONGEST_CONVERSATION_ID, LONGEST_NAME, Agent

_log = structlog.get_logger(__name__)

Begun = NewSessionResponse | ResumeSessionResponse | LoadSessionResponse
Warn = Callable[[str, str], None]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class OpenSession:
    """A session ready for its prompt. `closes`: the agent offers session/close; `takes_images`: in prompts."""

    session_id: str
    agent: Agent
    resumed: bool
    closes: bool
    model: str | None
    takes_images: bool = False


async def open_session(
    connection: ClientSideConnection,
    *,
    cwd: Path,
    settings: RunSettings,
    authenticate: str | None,
    earlier_id: str | None,
    is_told_if_lost: bool,
    warn: Warn,
) -> OpenSession:
    """Initialize, sign in if configured, start or resume a session, set model and mode. Raises TurnFailed."""
    hello = await _initialize(connection, settings)
    if authenticate:
        await _or_fail(connection.authenticate(authenticate), "login_missing", "could not be signed in")
    capabilities = hello.agent_capabilities or AgentCapabilities()
    resumed = await _resume(
        connection,
        capabilities,
        cwd=cwd,
        settings=settings,
        earlier_id=earlier_id,
        is_told_if_lost=is_told_if_lost,
        warn=warn,
    )
    begun: Begun = resumed or await _begin(connection, cwd, settings)
    session_id = begun.session_id if isinstance(begun, NewSessionResponse) else str(earlier_id)
    if settings.title is not None and resumed is None:
        await _set_title(connection, session_id, settings.title)
    model = await _set_model(connection, session_id, begun, settings.model)
    await _set_mode(connection, session_id, begun, settings.mode)
    offered = capabilities.session_capabilities
    return OpenSession(
        session_id=session_id,
        agent=_agent(hello),
        resumed=resumed is not None,
        closes=bool(offered and offered.close),
        model=model,
        takes_images=bool(capabilities.prompt_capabilities and capabilities.prompt_capabilities.image),
    )


async def _initialize(connection: ClientSideConnection, settings: RunSettings) -> InitializeResponse:
    offered = ClientCapabilities(
        elicitation=ElicitationCapabilities(form=ElicitationFormCapabilities()),
        field_meta=None if settings.client_meta is None else dict(settings.client_meta),
    )
    hello = await _or_fail(
        connection.initialize(
            PROTOCOL_VERSION, client_capabilities=offered, client_info=Implementation(name="runyard", version="1")
        ),
        "protocol_error",
        "refused to initialize",
    )
    if hello.protocol_version != PROTOCOL_VERSION:
        raise TurnFailed(
            "protocol_error", f"The agent speaks version {hello.protocol_version} of ACP; Runyard speaks version 1."
        )
    return hello


async def _resume(
    connection: ClientSideConnection,
    capabilities: AgentCapabilities,
    *,
    cwd: Path,
    settings: RunSettings,
    earlier_id: str | None,
    is_told_if_lost: bool,
    warn: Warn,
) -> ResumeSessionResponse | LoadSessionResponse | None:
    """Resume the earlier conversation. Return None, with a warning, when the agent cannot; None when there is none."""
    if earlier_id is None:
        return None
    sessions = capabilities.session_capabilities
    servers = list(settings.mcp_servers)
    try:
        if sessions and sessions.resume:
            return await connection.resume_session(earlier_id, str(cwd), mcp_servers=servers, **settings.session_meta)
        if capabilities.load_session:
            return await connection.load_session(str(cwd), earlier_id, mcp_servers=servers, **settings.session_meta)
        why = "The agent cannot resume an earlier conversation"
    except RequestError as error:
        if looks_like_login(error):
            raise TurnFailed("login_missing", f"The agent is not signed in: {error_text(error)}") from None
        why = f"The agent could not resume the earlier conversation ({error_text(error)})"
    then = "is told what the log has of the earlier runs" if is_told_if_lost else "remembers nothing from before"
    warn("resume_unavailable", f"{why}. It starts a new one and {then}.")
    return None


async def _begin(connection: ClientSideConnection, cwd: Path, settings: RunSettings) -> NewSessionResponse:
    begun = await _or_fail(
        connection.new_session(str(cwd), mcp_servers=list(settings.mcp_servers), **settings.session_meta),
        "agent_refused",
        "refused to start a session",
    )
    if len(begun.session_id) > LONGEST_CONVERSATION_ID:
        message = f"The agent's session id has {len(begun.session_id)} characters."
        raise TurnFailed("protocol_error", f"{message} At most {LONGEST_CONVERSATION_ID} are allowed.")
    return begun


async def _set_title(connection: ClientSideConnection, session_id: str, title: str) -> None:
    """Give a new session its title. An agent that does not take it only asks its model for one.

    The acp package has no method for this call of the protocol's drafts.
    """
    try:
        await connection._conn.send_request("session/set_title", {"sessionId": session_id, "title": title})
    except RequestError as error:
        _log.warning("agent.title_not_set", why=error_text(error))


async def _set_model(connection: ClientSideConnection, session_id: str, begun: Begun, model: str | None) -> str | None:
    option = _select(begun, "model")
    if model is None:
        return option.current_value if option else None
    if option is None:
        raise TurnFailed(
            "unknown_model", f"The agent offers no choice of models. Start the run without the model {model!r}."
        )
    known = _listed(_values(option))
    await _or_fail(
        connection.set_config_option(config_id=option.id, session_id=session_id, value=model),
        "unknown_model",
        f"refused the model {model!r} (it offers {known})",
    )
    return model


async def _set_mode(connection: ClientSideConnection, session_id: str, begun: Begun, mode: str | None) -> None:
    if mode is None:
        return
    option = _select(begun, "mode")
    known = (
        [offered.id for offered in begun.modes.available_modes] if begun.modes else _values(option) if option else []
    )
    if mode not in known:
        raise TurnFailed("unknown_mode", f"The agent does not offer the mode {mode!r}; it offers {_listed(known)}.")
    setting: Awaitable[Any] = (
        connection.set_session_mode(session_id=session_id, mode_id=mode)
        if begun.modes or option is None
        else connection.set_config_option(config_id=option.id, session_id=session_id, value=mode)
    )
    await _or_fail(setting, "unknown_mode", f"refused the mode {mode!r}")


def _select(begun: Begun, category: str) -> SessionConfigOptionSelect | None:
    selects = [option for option in begun.config_options or [] if isinstance(option, SessionConfigOptionSelect)]
    return next((option for option in selects if option.category == category or option.id == category), None)


def _values(option: SessionConfigOptionSelect) -> list[str]:
    values: list[str] = []
    for choice in option.options:
        values += [choice.value] if hasattr(choice, "value") else [inner.value for inner in choice.options]
    return values


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"


def _agent(hello: InitializeResponse) -> Agent:
    """Return the agent's name, version and abilities. The protocol reports only one of Runyard's capabilities:
    resume."""
    capabilities = hello.agent_capabilities or AgentCapabilities()
    sessions = capabilities.session_capabilities
    says = {"resume": capabilities.load_session or bool(sessions and sessions.resume)}
    info = hello.agent_info
    if info is None:
        return Agent(says=says)
    name, title, version = ((text or "")[:LONGEST_NAME] or None for text in (info.name, info.title, info.version))
    return Agent(name=name, title=title, version=version, says=says)


async def _or_fail(call: Awaitable[T], code: str, failure: str) -> T:
    """Return the call's result. Raises TurnFailed: `login_missing` when the agent says so, else `code`."""
    try:
        return await call
    except RequestError as error:
        if looks_like_login(error):
            raise TurnFailed("login_missing", f"The agent is not signed in: {error_text(error)}") from None
        raise TurnFailed(code, f"The agent {failure}: {error_text(error)}") from None
