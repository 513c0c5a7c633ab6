"""Define approval rules, which answer agents for people: the text that clients write, and its row.

Workspace paths are relative (`src/**`). A pattern that begins with `/` or `~` names paths outside of the workspace.
Commands match as a whole. Patterns: `*`, `?`, and `**` for any number of folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from schema.wire import Flag, Request, Text, Wire

Effect = Literal["allow", "ask", "deny"]
ToolKind = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"]
"""The Agent Client Protocol's kinds of tool calls."""

LONGEST_PATTERN = 256
"""Characters of a pattern that may have `?`, and of any for paths."""
LONGEST_COMMAND_PATTERN = 1024
"""Characters of a pattern for commands without `?`."""
_NAME = r"(?:\.?[^./\x00-\x1f][^/\x00-\x1f]*|\.\.[^/\x00-\x1f]+)"
PATH_PATTERN = rf"^(?:~?/)?{_NAME}(?:/{_NAME}){{0,31}}$"
COMMAND_PATTERN = r"^\S(?:[\s\S]*\S)?$"


def _within_workspace(pattern: str) -> str:
    return "**" if pattern == "/workspace" else pattern.removeprefix("/workspace/")


def _within_length(pattern: str) -> str:
    """`*` alone is matched piece by piece, however long the pattern is. `?` takes a program that grows with it."""
    if "?" in pattern and len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern with `?` has at most {LONGEST_PATTERN} characters")
    return pattern


CommandPattern = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=LONGEST_COMMAND_PATTERN,
        pattern=COMMAND_PATTERN,
        json_schema_extra={"pattern": COMMAND_PATTERN},
    ),
    AfterValidator(_within_length),
]
PathPattern = Annotated[
    Text,
    Field(min_length=1, max_length=LONGEST_PATTERN, pattern=PATH_PATTERN, json_schema_extra={"pattern": PATH_PATTERN}),
    AfterValidator(_within_workspace),
]


class RuleText(Request):
    """Every given part of a rule has to match the call. Deny goes before ask, ask before allow.

    `deny` and `ask` match when one path of the call, a folder above it, or one command of a command line matches.
    `allow` matches when all paths and all commands match. A command with a redirection is allowed only by a pattern
    that equals it. A command is read as the words that a shell makes of it, and a person is asked where they are not
    certain.
    """

    effect: Effect
    tool_kind: ToolKind | None = None
    path_pattern: PathPattern | None = None
    command_pattern: CommandPattern | None = None
    note: Text | None = Field(
        default=None, min_length=1, max_length=500, description="Reason for the rule. A denied agent receives it."
    )
    everything: Flag | None = Field(
        default=None,
        description="Confirm a rule for all runs that has neither a path nor a command pattern. It is not stored.",
    )

    @property
    def has_pattern(self) -> bool:
        return self.path_pattern is not None or self.command_pattern is not None


class NewRule(RuleText):
    """A rule for the runs of one app or one user, or for all runs when neither is named."""

    app_id: UUID | None = None
    user_id: UUID | Literal["me"] | None = None


class ChangedRule(RuleText):
    """The rule's complete new text. `version` is the version that it replaces. The rule's app and user stay."""

    version: int = Field(ge=1, le=2**31 - 1)


class RuleReport(Wire):
    """One version of a rule. `retiredAt` is set once the version is no longer in force."""

    rule_id: UUID
    version: int
    app_id: UUID | None = None
    user_id: UUID | None = None
    effect: Effect
    tool_kind: str | None = None
    path_pattern: str | None = None
    command_pattern: str | None = None
    note: str | None = None
    created_by: UUID | None = None
    created_at: datetime
    retired_at: datetime | None = None


class RulesReport(Wire):
    items: list[RuleReport]
    next_cursor: str | None = None


@dataclass(frozen=True)
class ApprovalRuleRow:
    """One version of a rule. It applies to runs of its app and of its user; without either, to all runs."""

    id: UUID
    version: int
    app_id: UUID | None
    user_id: UUID | None
    effect: Effect
    tool_kind: str | None
    path_pattern: str | None
    command_pattern: str | None
    note: str | None
    created_by: UUID | None
    created_at: datetime
    retired_at: datetime | None

    @property
    def author(self) -> str:
        """The rule's name in event envelopes."""
        return f"rule:{self.id}@{self.version}"
