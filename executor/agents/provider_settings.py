"""Map a run's options to the settings of each agent program, beyond the protocol.

An option that a provider does not list is refused here too, although the control plane refuses it earlier.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from executor.agents.failures import TurnFailed
from executor.agents.mcp_servers import AgentServer, mcp_servers
from executor.agents.model_failures import CLIENT_META
from executor.agents.provider import Dialect, Provider
from executor.agents.turn import Turn
from schema.options import AppOptions, Tools
from schema.wire import Json

TITLE = "Runyard"
"""The title of an agent's session. Runyard has titles of its own, and an agent would ask its model for one."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of one run: environment variables, files of the home (path to text), `_meta` of the client's
    capabilities and for session/new (and resume, load), MCP servers, the agent's mode and model, and the title of a new
    session.

    None leaves the agent's own default.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    mcp_servers: Sequence[AgentServer] = ()
    client_meta: Mapping[str, Any] | None = None
    session_meta: Mapping[str, Any] = field(default_factory=dict)
    mode: str | None = None
    model: str | None = None
    title: str | None = None


def settings_for(turn: Turn, provider: Provider) -> RunSettings:
    """Return the run's settings. Raises TurnFailed `option_refused` for an option that the provider does not
    support."""
    refused = [name for name in turn.run.options.asked_of_provider() if name not in provider.options]
    if refused:
        raise TurnFailed(
            "option_refused", f"{provider.title} does not support {', '.join(refused)}. Leave these options out."
        )
    settings = DIALECTS[provider.dialect](turn.run.options, provider)
    return replace(settings, mcp_servers=mcp_servers(turn.run.options, provider))


def _plain(options: AppOptions, provider: Provider) -> RunSettings:
    return RunSettings(mode=_own_mode(options, provider), model=options.model or provider.model)


def _claude_code(options: AppOptions, provider: Provider) -> RunSettings:
    """Pass options of the Claude Agent SDK in the session's `_meta`.

    Prompt suggestions are disabled, because each would cost a model request after the turn. A session with a title is
    not titled by the model, whose cost no run would show.
    """
    tools = options.tools or Tools()
    own: Json = {"promptSuggestions": False, "title": TITLE, **(options.provider_options or {})}
    if tools.allow:
        own["allowedTools"] = tools.allow
    if tools.deny:
        own["disallowedTools"] = tools.deny
    words: Json = {"systemPrompt": {"append": options.instructions}} if options.instructions else {}
    return RunSettings(
        session_meta={"claudeCode": {"options": own}, **words},
        mode=_own_mode(options, provider),
        model=options.model or provider.model,
    )


CODEX_SANDBOXES = {
    "read-only": ("ask", "read-only"),
    "workspace-write": ("ask", "workspace-write"),
    "danger-full-access": ("auto", "agent-full-access"),
}
"""Codex's sandbox -> (the matching Runyard mode, the adapter's mode, which sets sandbox and approval)."""


def asks(options: AppOptions, provider: Provider) -> bool:
    """Tell whether the agent asks before it acts: by its mode, or by a sandbox of Codex, which sets the mode too."""
    by_sandbox, _ = CODEX_SANDBOXES.get(options.sandbox or "", (None, None))
    return "ask" in (options.mode or provider.mode, by_sandbox)


def _codex(options: AppOptions, provider: Provider) -> RunSettings:
    """Pass further settings as config.toml entries, which the adapter merges for this run.

    Prompt suggestions are off: to a client with `model_failures.CLIENT_META` each would cost a request after the turn.
    A session with a title is not titled by a model, whose tokens no answer counts.
    """
    mode = _own_mode(options, provider)
    if options.sandbox is not None:
        required, mode = CODEX_SANDBOXES.get(options.sandbox, (None, None))
        if mode is None:
            raise TurnFailed(
                "option_refused", f"Codex offers the sandboxes {', '.join(CODEX_SANDBOXES)}. Choose one of them."
            )
        if options.mode not in (None, required):
            raise TurnFailed(
                "option_refused", f"Codex allows the sandbox {options.sandbox!r} in mode {required!r} only."
            )
    words = {"developer_instructions": options.instructions} if options.instructions else {}
    config = {**words, **(options.provider_options or {})}
    return RunSettings(
        environment={"CODEX_ACP_PROMPT_SUGGESTIONS": "false"}
        | ({"CODEX_CONFIG": json.dumps(config)} if config else {}),
        client_meta=CLIENT_META,
        mode=mode,
        model=options.model or provider.model,
        title=TITLE,
    )


OPENCODE_INSTRUCTIONS = ".config/opencode/runyard-instructions.md"
OPENCODE_ASKS = ("edit", "bash", "webfetch", "external_directory", "doom_loop")


def _opencode(options: AppOptions, provider: Provider) -> RunSettings:
    """Pass permissions as configuration for this run, merged over opencode.json without changing it.

    After a denial the turn goes on, as with the other agents. Titles are off: they would cost a request that OpenCode
    counts nowhere.
    """
    tools = options.tools or Tools()
    rule = "ask" if (options.mode or provider.mode) == "ask" else "allow"
    permission = dict.fromkeys(OPENCODE_ASKS, rule)
    permission |= dict.fromkeys((f"{name}_*" for name in options.mcp_servers or ()), rule)
    permission |= dict.fromkeys(tools.allow, "allow") | dict.fromkeys(tools.deny, "deny")
    config: Json = {
        "permission": permission,
        "experimental": {"continue_loop_on_deny": True},
        "agent": {"title": {"disable": True}},
    }
    if options.instructions:
        config["instructions"] = [f"~/{OPENCODE_INSTRUCTIONS}"]
    config |= options.provider_options or {}
    return RunSettings(
        environment={"OPENCODE_CONFIG_CONTENT": json.dumps(config)},
        files={OPENCODE_INSTRUCTIONS: options.instructions} if options.instructions else {},
        model=options.model or provider.model,
    )


def _own_mode(options: AppOptions, provider: Provider) -> str | None:
    return provider.modes.get(options.mode or provider.mode)


DIALECTS: Mapping[Dialect, Callable[[AppOptions, Provider], RunSettings]] = {
    "acp": _plain,
    "claude-code": _claude_code,
    "codex": _codex,
    "opencode": _opencode,
}
