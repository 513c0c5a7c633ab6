"""Decide who may read which paths. Without a policy for a path, whoever may see the session may read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from handlers.patterns import path_matcher
from schema.errors import Forbidden
from schema.rows import Role
from schema.snapshot_manifest import path_bytes
from schema.workspace_api import Root

PolicyEffect = Literal["allow", "deny"]
_Matcher = Callable[[str], bool]
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
        self._ranked = [(_matcher(root, policy), policy) for policy in sorted(concerned, key=_rank_of, reverse=True)]
        self._root = root

    def deciding(self, path: str) -> FilePolicy | None:
        """Return the policy that decides about the path; None when none does."""
        text = _text(self._root, path)
        return next((policy for matches, policy in self._ranked if matches(text)), None)

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
        below = f"{path}/"
        for matches, policy in self._ranked:
            if matches(_text(self._root, path)):
                return False
            if policy.effect == "allow" and policy.pattern.startswith(below):
                return True
        return False


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


def _matcher(root: Root, policy: FilePolicy) -> _Matcher:
    return path_matcher(f"{root}/{policy.pattern}/**")


def _text(root: Root, path: str) -> str:
    """Return the path as patterns see it: bytes that are not UTF-8 are each one character."""
    return f"{root}/{path_bytes(path).decode(errors='replace')}"
