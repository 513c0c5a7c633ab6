"""Name the files by which a workspace or an agent's home decides for its agent.

They start programs, load plugins or hooks, or change what is asked. The lists hold for the pinned versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.agents.provider import Dialect
from executor.agents.trust.opencode_untrusted import files_with_plugins

OPENCODE_LOGIN = ".local/share/opencode/auth.json"
"""Set aside only with an entry for which OpenCode fetches configuration."""

SHELLS = (
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshenv",
    ".zshrc",
    ".zprofile",
    ".zlogin",
    ".config/fish",
)
"""Agents run commands in a shell, which starts with these."""

IN_WORKSPACE: Mapping[Dialect, tuple[str, ...]] = {
    "claude-code": (
        ".claude/settings.json",
        ".claude/settings.local.json",
        ".claude/agents",
        ".claude/commands",
        ".claude/output-styles",
        ".claude/rules",
        ".claude/skills",
        ".claude/workflows",
        ".mcp.json",
    ),
    "codex": (
        ".codex/config.toml",
        ".codex/hooks.json",
        ".codex/rules",
        ".codex/agents",
        ".codex/skills",
    ),
    "opencode": (
        "opencode.json",
        "opencode.jsonc",
        ".opencode",
        ".agents/skills",
        ".claude/skills",
    ),
}
"""Files that an agent is told to ignore, in the working folder and its parents up to the workspace."""

IN_HOME: Mapping[Dialect, tuple[str, ...]] = {
    "claude-code": (
        ".claude/settings.json",
        ".claude/settings.local.json",
        ".claude/remote-settings*",
        ".claude/policy-limits*",
        ".claude/managed-settings*",
        ".claude/agents",
        ".claude/commands",
        ".claude/hooks",
        ".claude/output-styles",
        ".claude/plugins/*.json",
        ".claude/rules",
        ".claude/session-env/*/*",
        ".claude/skills",
        ".claude/workflows",
    ),
    "codex": (
        ".agents",
        ".codex/.env",
        ".codex/agents",
        ".codex/*.config.toml",
        ".codex/environments.toml",
        ".codex/hooks.json",
        ".codex/managed_config.toml",
        ".codex/plugins",
        ".codex/prompts",
        ".codex/requirements.toml",
        ".codex/rules",
        ".codex/skills/[!.]*",
    ),
    "opencode": (
        ".agents",
        ".opencode",
        ".cache/opencode/bin/*",
        ".cache/opencode/node_modules",
        ".cache/opencode/packages",
        ".config/opencode/config",
        ".config/opencode/config.json",
        ".config/opencode/opencode.jsonc",
        ".config/opencode/agent",
        ".config/opencode/agents",
        ".config/opencode/command",
        ".config/opencode/commands",
        ".config/opencode/mode",
        ".config/opencode/modes",
        ".config/opencode/plugin",
        ".config/opencode/plugins",
        ".config/opencode/skill",
        ".config/opencode/skills",
        ".config/opencode/tool",
        ".config/opencode/tools",
        OPENCODE_LOGIN,
        ".local/share/opencode/bin",
    ),
}
"""Files that an earlier turn may have written, as patterns of names. Files of the provider's entry are written anew."""

INSTRUCTIONS: Mapping[Dialect, tuple[str, ...]] = {
    "claude-code": ("CLAUDE.md", ".claude/CLAUDE.md", "CLAUDE.local.md", "AGENTS.md"),
    "opencode": ("AGENTS.md", "CLAUDE.md"),
}
"""Files of words only. An agent that ignores its settings' files ignores them too, and is pointed to them instead."""


def found_in_workspace(dialect: Dialect, cwd: Path, workspace: Path) -> list[str]:
    """Return the workspace's files that this agent ignores, relative to the workspace."""
    names = IN_WORKSPACE.get(dialect, ())
    found = (folder / name for folder in _upwards(cwd, workspace) for name in names)
    return [str(path.relative_to(workspace)) for path in found if exists(path)]


def refuse_what_cannot_be_ignored(dialect: Dialect, cwd: Path, workspace: Path) -> None:
    """Raise TurnFailed `workspace_untrusted` for a plugin that OpenCode loads whatever it is told."""
    for folder in _upwards(cwd, workspace) if dialect == "opencode" else ():
        for path in files_with_plugins(folder):
            message = f"OpenCode would or may load plugins by {path.relative_to(workspace)}, and cannot be told not to"
            remedy = "Remove the file or its plugins, or let an operator set trustWorkspace for the app."
            raise TurnFailed("workspace_untrusted", f"{message}. {remedy}")


def instruction_files(dialect: Dialect, cwd: Path, workspace: Path) -> list[Path]:
    """Return the instruction files that the agent must be pointed to, the workspace's own first."""
    names = INSTRUCTIONS.get(dialect, ())
    found = (folder / name for folder in reversed(_upwards(cwd, workspace)) for name in names)
    return [path for path in found if path.is_file()]


def _upwards(cwd: Path, workspace: Path) -> list[Path]:
    """Return the working folder and its parents up to the workspace."""
    return [folder for folder in (cwd, *cwd.parents) if folder.is_relative_to(workspace)]


def exists(path: Path) -> bool:
    """Return whether there is anything, a broken link included."""
    return path.is_symlink() or path.exists()
