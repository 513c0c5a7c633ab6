"""Set, list and delete file policies, and read those of one reader."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from handlers.access.permissions import Actor, actor_of, session_for
from handlers.apps.apps import app_by_id
from handlers.files.policies import FilePolicy, FileReader, PathRules, PolicyEffect
from schema.errors import Conflict, Invalid, NotFound
from schema.rows import Role, UserRow
from schema.sql import Conn, fetch_all, fetch_one, fetch_value
from schema.workspace_api import Root

MOST_POLICIES = 1000


@dataclass(frozen=True, kw_only=True)
class NewPolicy:
    """A policy to set. None stands for all apps, roles, users or roots."""

    effect: PolicyEffect
    pattern: str
    root: Root | None = None
    app_id: UUID | None = None
    role: Role | None = None
    user_id: UUID | None = None
    reason: str | None = None


def set_file_policy(conn: Conn, new: NewPolicy) -> FilePolicy:
    """Set a policy; it replaces one for the same readers, root and pattern. Raises Invalid, NotFound and Conflict."""
    pattern = read_pattern(new.pattern)
    if new.app_id is not None:
        app_by_id(conn, new.app_id)
    if new.user_id is not None and fetch_one(conn, "user_by_id", UserRow, user_id=new.user_id) is None:
        raise NotFound("There is no such user.", code="unknown_user")
    fetch_value(conn, "lock_file_policies")
    policy = fetch_one(conn, "set_file_policy", FilePolicy, **{**vars(new), "pattern": pattern}, most=MOST_POLICIES)
    if policy is None:
        raise Conflict(f"There are at most {MOST_POLICIES} file policies.", code="too_many_policies")
    return policy


def file_policies(conn: Conn, *, before: tuple[str, UUID] | None, limit: int) -> list[FilePolicy]:
    """A page of policies, newest first; `before` is the (created_at, id) of the previous page's last one."""
    at, last_id = before or (None, None)
    return fetch_all(conn, "file_policies_page", FilePolicy, before_at=at, before_id=last_id, limit=limit)


def delete_file_policy(conn: Conn, policy_id: UUID) -> FilePolicy:
    """Delete a policy and return it. Raises NotFound."""
    policy = fetch_one(conn, "delete_file_policy", FilePolicy, policy_id=policy_id)
    if policy is None:
        raise NotFound("There is no such file policy.", code="unknown_policy")
    return policy


def path_rules(conn: Conn, actor: Actor, *, app_id: UUID, root: Root) -> PathRules:
    """Return what the actor may read of this root in sessions of the app."""
    reader = FileReader(user_id=actor.user_id, role=actor.role, app_id=app_id)
    return PathRules(fetch_all(conn, "file_policies_of_reader", FilePolicy, **vars(reader)), reader, root)


def path_rules_of_user(conn: Conn, user_id: UUID, session_id: UUID) -> PathRules:
    """Return what a user may read of a session's workspace. Raises NotFound when they may not see the session."""
    user = fetch_one(conn, "user_by_id", UserRow, user_id=user_id)
    if user is None:
        raise NotFound("There is no such user.", code="unknown_user")
    actor = actor_of(user)
    return path_rules(conn, actor, app_id=session_for(conn, actor, session_id).app_id, root="workspace")


def read_pattern(text: str) -> str:
    """Return the pattern without slashes around it. Raises Invalid for one that no path can match."""
    pattern = text.strip("/")
    names = pattern.split("/")
    if any(name in ("", ".", "..") for name in names):
        raise Invalid("A pattern is a path below the root, without empty names, `.` and `..`.", code="bad_pattern")
    if any("**" in name and name != "**" for name in names):
        raise Invalid("`**` stands for whole names only, as in `**/name`.", code="bad_pattern")
    return pattern
