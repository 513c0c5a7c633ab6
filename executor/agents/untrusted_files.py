"""Name the files by which a workspace or an agent's home decides for its agent, and take those of the home out of use.

They start programs, load plugins or hooks, or change what is asked. The lists hold for the pinned versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from executor.agents.failures import TurnFailed
from executor.agents.provider import Dialect

SET_ASIDE = ".set-aside-"
"""A file of the home that is out of use has this in its name, and a number."""
MOST_SET_ASIDE = 1000
"""Names that are tried for one file."""

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
        ".local/share/opencode/auth.json",
        ".local/share/opencode/bin",
    ),
}
"""Files that an earlier turn may have written, as patterns of names. Files of the provider's entry are written anew."""

OPENCODE_PLUGINS = ("plugin/*", "plugins/*")
OPENCODE_CONFIGS = ("opencode.json", "opencode.jsonc")
LONGEST_CONFIG = 1024 * 1024
"""Bytes of a configuration that are searched for plugins."""

INSTRUCTIONS: Mapping[Dialect, tuple[str, ...]] = {
    "claude-code": ("CLAUDE.md", ".claude/CLAUDE.md", "CLAUDE.local.md", "AGENTS.md"),
    "opencode": ("AGENTS.md", "CLAUDE.md"),
}
"""Files of words only. An agent that ignores its settings' files ignores them too, and is pointed to them instead."""


def found_in_workspace(dialect: Dialect, cwd: Path, workspace: Path) -> list[str]:
    """Return the workspace's files that this agent ignores, relative to the workspace."""
    names = IN_WORKSPACE.get(dialect, ())
    found = (folder / name for folder in _upwards(cwd, workspace) for name in names)
    return [str(path.relative_to(workspace)) for path in found if _exists(path)]


def refuse_what_cannot_be_ignored(dialect: Dialect, cwd: Path, workspace: Path) -> None:
    """Raise TurnFailed `workspace_untrusted` for a plugin that OpenCode loads whatever it is told."""
    for folder in _upwards(cwd, workspace) if dialect == "opencode" else ():
        plugins = (path for name in OPENCODE_PLUGINS for path in sorted((folder / ".opencode").glob(name)))
        configs = (folder / place / name for place in ("", ".opencode") for name in OPENCODE_CONFIGS)
        for path in (*plugins, *(config for config in configs if _may_name_a_plugin(config))):
            message = f"OpenCode would load plugins by {path.relative_to(workspace)}, and cannot be told to ignore it"
            remedy = "Remove the file or its plugins, or let an operator set trustWorkspace for the app."
            raise TurnFailed("workspace_untrusted", f"{message}. {remedy}")


def _may_name_a_plugin(config: Path) -> bool:
    """Return whether the text may have the key, which may also be spelled with escapes."""
    if not config.is_file():  # a pipe would never end
        return _exists(config)
    try:
        with config.open("rb") as file:
            text = file.read(LONGEST_CONFIG + 1)
    except OSError:
        return True
    return len(text) > LONGEST_CONFIG or b"plugin" in text or b"\\u" in text


def instruction_files(dialect: Dialect, cwd: Path, workspace: Path) -> list[Path]:
    """Return the instruction files that the agent must be pointed to, the workspace's own first."""
    names = INSTRUCTIONS.get(dialect, ())
    found = (folder / name for folder in reversed(_upwards(cwd, workspace)) for name in names)
    return [path for path in found if path.is_file()]


def set_aside(dialect: Dialect, home: Path) -> list[str]:
    """Rename the home's files that decide for the agent. Return their paths, as `~/...`.

    Nothing is deleted. Raises TurnFailed `workspace_untrusted` for a file that cannot be renamed.
    """
    moved: list[str] = []
    for path in _found_in_home(dialect, home):
        shown = f"~/{path.relative_to(home)}"
        try:
            path.rename(_free_name(path))
        except OSError as error:
            message = f"{shown} in the agent's home may start programs or change what is asked, and cannot be renamed"
            remedy = "Remove it, or let an operator set trustWorkspace for the app."
            raise TurnFailed("workspace_untrusted", f"{message} ({error.strerror}). {remedy}") from None
        moved.append(shown)
    return moved


def put_back(dialect: Dialect, home: Path) -> None:
    """Rename files that an earlier turn set aside to their old names, unless newer files have these names."""
    patterns = (*SHELLS, *IN_HOME.get(dialect, ()))
    aside = sorted(
        (found for name in patterns for found in home.glob(f"{name}{SET_ASIDE}*")), key=_number, reverse=True
    )
    for path in aside:
        old = path.with_name(path.name.rpartition(SET_ASIDE)[0])
        if not _exists(old):
            path.rename(old)


def _found_in_home(dialect: Dialect, home: Path) -> Iterator[Path]:
    for name in (*SHELLS, *IN_HOME.get(dialect, ())):
        found = home.glob(name) if "*" in name else [home / name]  # glob leaves out a broken link of a whole name
        yield from sorted(path for path in found if SET_ASIDE not in path.name and _exists(path))


def _upwards(cwd: Path, workspace: Path) -> list[Path]:
    """Return the working folder and its parents up to the workspace."""
    return [folder for folder in (cwd, *cwd.parents) if folder.is_relative_to(workspace)]


def _free_name(path: Path) -> Path:
    """Return a name for the file out of use. Raises FileExistsError when too many are taken."""
    for number in range(1, MOST_SET_ASIDE + 1):
        name = path.with_name(f"{path.name}{SET_ASIDE}{number}")
        if not _exists(name):
            return name
    raise FileExistsError(17, "too many files were set aside before", str(path))


def _number(path: Path) -> int:
    digits = path.name.rpartition(SET_ASIDE)[2]
    return int(digits) if re.fullmatch(r"[0-9]{1,9}", digits) else 0


def _exists(path: Path) -> bool:
    """Return whether there is anything, a broken link included."""
    return path.is_symlink() or path.exists()
