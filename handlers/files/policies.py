"""Decide who may read which paths. Without a policy for a path, whoever may see the session may read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import ClassVar, Literal
from uuid import UUID

from handlers.patterns import any_path_matcher, path_matcher
from schema.errors import Forbidden
from schema.rows import Role
from schema.snapshot_manifest import path_bytes
from schema.workspace_api import Root

PolicyEffect = Literal["allow", "deny"]
GROUP = 32
"""Policies that one program judges together: a path costs one match for each group, and not for each policy."""
_Rank = tuple[bool, bool, bool, bool, int, int, bool]


class FileDenied(Forbidden):
    """A file policy denies this path."""

    code: ClassVar[str] = "file_denied"


@dataclass(frozen=True)
class FilePolicy:
    """A pattern and the readers for whom it decides; None stands for all apps, roles, users or roots."""

    id: UUID
    effect: PolicyEffect
    pattern: str
    root: Root | None
    app_id: UUID | None
    role: Role | None
    user_id: UUID | None
    reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class FileReader:
    """The user who reads, and the app of the session whose files are read."""

    user_id: UUID
    role: Role
    app_id: UUID


def deciding_policy(policies: Iterable[FilePolicy], reader: FileReader, root: Root, path: str) -> FilePolicy | None:
    """Return the policy that decides about the path; None when none does, and then the path may be read.

    A pattern covers the paths that it matches and everything below them. The most specific policy decides: one for the
    user, then for the role, then for the app, then for the root; among these the one with more letters in its pattern,
    then with fewer `**`. Deny wins a tie.
    """
    return PathRules(policies, reader, root).deciding(path)


class PathRules:
    """The policies of one reader and root, compiled for many paths."""

    def __init__(self, policies: Iterable[FilePolicy], reader: FileReader, root: Root) -> None:
        concerned = (policy for policy in policies if _concerns(policy, reader, root))
        self._ranked = sorted(concerned, key=_rank_of, reverse=True)
        starts = range(0, len(self._ranked), GROUP)
        self._groups = [_Group(root, self._ranked[start : start + GROUP]) for start in starts]
        self._root = root

    def deciding(self, path: str) -> FilePolicy | None:
        """Return the policy that decides about the path; None when none does."""
        text = _text(self._root, path)
        found = (group.deciding(text) for group in self._groups if group.matches(text))
        return next((policy for policy in found if policy is not None), None)

    def allows(self, path: str) -> bool:
        """Return whether the path may be read. The root itself always may be listed."""
        if not path or not self._ranked:
            return True
        policy = self.deciding(path)
        return policy is None or policy.effect == "allow"

    def shows(self, path: str) -> bool:
        """Return whether listings show the path: it may be read, or it leads to one that an exception allows."""
        return self.allows(path) or self._leads_on(path)

    def require(self, path: str) -> None:
        """Raise FileDenied, with the policy's reason, when the path may not be read."""
        if not self.allows(path):
            self._refuse(path)

    def require_listing(self, path: str) -> None:
        """Raise FileDenied, with the policy's reason, when the folder may not be listed."""
        if not self.shows(path):
            self._refuse(path)

    def _refuse(self, path: str) -> None:
        policy = self.deciding(path)
        reason = policy.reason if policy else None
        raise FileDenied(f"A file policy denies this path: {reason}" if reason else None)

    def _leads_on(self, path: str) -> bool:
        """Return whether a policy that goes before the one that denies this folder allows a path below it."""
        below, denying = f"{path}/", self.deciding(path)
        before = takewhile(lambda policy: policy is not denying, self._ranked)
        return any(policy.effect == "allow" and policy.pattern.startswith(below) for policy in before)


class _Group:
    """Policies of neighbouring ranks. One program tells whether any matches; the others are compiled when one does."""

    def __init__(self, root: Root, policies: list[FilePolicy]) -> None:
        self._patterns = [_pattern(root, policy) for policy in policies]
        self._policies = policies
        self.matches = any_path_matcher(tuple(self._patterns))

    def deciding(self, text: str) -> FilePolicy | None:
        pairs = zip(self._patterns, self._policies, strict=True)
        return next((policy for pattern, policy in pairs if path_matcher(pattern)(text)), None)


def _concerns(policy: FilePolicy, reader: FileReader, root: Root) -> bool:
    return (
        policy.root in (None, root)
        and policy.app_id in (None, reader.app_id)
        and policy.role in (None, reader.role)
        and policy.user_id in (None, reader.user_id)
    )


def _rank_of(policy: FilePolicy) -> _Rank:
    return (
        policy.user_id is not None,
        policy.role is not None,
        policy.app_id is not None,
        policy.root is not None,
        sum(letter not in "*?" for letter in policy.pattern),
        -policy.pattern.split("/").count("**"),
        policy.effect == "deny",
    )


def _pattern(root: Root, policy: FilePolicy) -> str:
    return f"{root}/{policy.pattern}/**"


def _text(root: Root, path: str) -> str:
    """Return the path as patterns see it: bytes that are not UTF-8 are each one character."""
    return f"{root}/{path_bytes(path).decode(errors='replace')}"
