"""Start an agent so that neither its workspace nor its home decides what a person is asked.

A run is guarded in mode `ask`, in Codex's sandboxes that ask, and in `auto` when a rule denies or asks, unless its app
trusts its workspaces. What each agent is told holds for its pinned version; `make probe` proves it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from executor.agents.agent_folders import AgentFolders
from executor.agents.failures import TurnFailed
from executor.agents.install import installed_program
from executor.agents.node import find_node, run_by_node
from executor.agents.provider import Dialect, Provider
from executor.agents.provider_settings import RunSettings, asks
from executor.agents.trust.git_settings import harmless_git
from executor.agents.trust.set_aside import put_back, set_aside
from executor.agents.trust.untrusted_files import (
    found_in_workspace,
    instruction_files,
    refuse_what_cannot_be_ignored,
)
from executor.agents.turn import Turn

CODEX_PROXY = Path(__file__).with_name("codex_untrusted.py")
LFS_ADVICE = (
    "The repository uses Git LFS (filter.lfs), whose hook is off too: git push sends no files of it. "
    "Push them first: git lfs push REMOTE BRANCH."
)
MOST_NAMED = 20
"""Files that a warning names."""


def is_guarded(turn: Turn, provider: Provider) -> bool:
    """Tell whether workspace and home must not start programs or change what is asked."""
    options = turn.run.options
    if options.trust_workspace or provider.dialect not in GUARDS:
        return False
    return asks(options, provider) or turn.run.must_ask


def guarded(
    settings: RunSettings, turn: Turn, provider: Provider, *, folders: AgentFolders, environment: Mapping[str, str]
) -> tuple[RunSettings, str | None]:
    """Return the settings that keep the agent from what workspace and home say, and a warning of what is ignored.

    Files of the home are taken out of use, or come back in a run that is not guarded. `environment` is the agent's.
    Raises TurnFailed `workspace_untrusted` for what cannot be ignored.
    """
    if not is_guarded(turn, provider):
        with turn.account.acting():
            put_back(provider.dialect, folders.home)
        return settings, None
    git = harmless_git(folders.cwd, environment, turn.account)
    with turn.account.acting():
        refuse_what_cannot_be_ignored(provider.dialect, folders.cwd, folders.workspace)
        ignored = [
            *found_in_workspace(provider.dialect, folders.cwd, folders.workspace),
            *set_aside(provider.dialect, folders.home),
            *(f"git's {key}" for key in git.ignored),
        ]
        own = GUARDS[provider.dialect](settings, provider, folders)
    own = replace(own, environment={**own.environment, **git.environment})
    warnings = [_warning(provider, ignored)] if ignored else []
    return own, " ".join([*warnings, LFS_ADVICE] if git.has_lfs else warnings) or None


def _warning(provider: Provider, ignored: list[str]) -> str:
    more = f" and {len(ignored) - MOST_NAMED} more" if len(ignored) > MOST_NAMED else ""
    return (
        f"{provider.title} ignores {', '.join(ignored[:MOST_NAMED])}{more}: files must not start programs or change "
        "what people are asked. An operator can set trustWorkspace for the app."
    )


def _claude_code(settings: RunSettings, _provider: Provider, folders: AgentFolders) -> RunSettings:
    """Read no file of settings, and take MCP servers from the session alone.

    Without its `project` source Claude Code loads no instruction files either, so the model is told where they are.
    """
    meta = dict(settings.session_meta)
    options = {**meta["claudeCode"]["options"], "settingSources": [], "strictMcpConfig": True, "plugins": []}
    meta["claudeCode"] = {"options": options}
    files = instruction_files("claude-code", folders.cwd, folders.workspace)
    if files:
        words = "Instructions of this project stand in these files. Read them before you start: "
        hint = words + ", ".join(map(str, files))
        before = meta.get("systemPrompt", {}).get("append")
        meta["systemPrompt"] = {"append": f"{before}\n\n{hint}" if before else hint}
    return replace(settings, session_meta=meta)


def _codex(settings: RunSettings, provider: Provider, _folders: AgentFolders) -> RunSettings:
    """Take back the trust that the adapter gives to the working folder. An untrusted project's `.codex` is not read."""
    command = json.dumps(_codex_command(provider))
    environment = {**settings.environment, "CODEX_PATH": str(CODEX_PROXY), "RUNYARD_CODEX": command}
    return replace(settings, environment=environment)


def _codex_command(provider: Provider) -> list[str]:
    """Return the command line of Codex itself, which npm links beside its adapter. Raises TurnFailed."""
    path = provider.host_environment.get("PATH", os.defpath)
    adapter = installed_program(provider)
    program = adapter.with_name("codex") if adapter else Path(shutil.which("codex", path=path) or "codex")
    node = find_node(path)
    if not program.exists() or node is None:
        raise TurnFailed(
            "workspace_untrusted", "Codex cannot be told to ignore the workspace: install codex on the worker."
        )
    return [str(node.program), str(program)] if run_by_node(program) else [str(program)]


OPENCODE_GUARD = {
    "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
    "OPENCODE_PURE": "1",
    "OPENCODE_DISABLE_EXTERNAL_SKILLS": "1",
    "OPENCODE_DISABLE_CLAUDE_CODE_SKILLS": "1",
}


def _opencode(settings: RunSettings, _provider: Provider, folders: AgentFolders) -> RunSettings:
    """Read no configuration of the project, and load no plugin, language server or formatter.

    Without the project's configuration OpenCode loads no instruction files, so they are named in its configuration.
    """
    content = json.loads(settings.environment["OPENCODE_CONFIG_CONTENT"])
    files = [str(file) for file in instruction_files("opencode", folders.cwd, folders.workspace)]
    content |= {"lsp": False, "formatter": False, "instructions": [*content.get("instructions", []), *files]}
    environment = {**settings.environment, **OPENCODE_GUARD, "OPENCODE_CONFIG_CONTENT": json.dumps(content)}
    return replace(settings, environment=environment)


GUARDS: Mapping[Dialect, Callable[[RunSettings, Provider, AgentFolders], RunSettings]] = {
    "claude-code": _claude_code,
    "codex": _codex,
    "opencode": _opencode,
}
