"""Define roles and permissions, and the sessions that a user may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from schema.errors import Forbidden, NotFound
from schema.rows import Role, SessionRow, SignInMethod, UserRow
from schema.sql import Conn, fetch_one

Permission = Literal[
    "sessions:read",
    "sessions:write",
    "snapshots:read",
    "files:read",
    "files:write",
    "runs:read",
    "runs:start",
    "runs:stop",
    "runs:bind",
    "human_loop:read",
    "human_loop:reply",
    "rules:read",
    "rules:write",
    "providers:read",
    "queue:drain",
    "reconcile",
    "me:read",
    "me:write",
    "workers:list",
    "workers:read",
    "workers:operate",
    "workers:force",
    "audit:read",
    "file_policies:read",
    "file_policies:write",
]
PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))
_OPERATORS_ONLY: frozenset[Permission] = frozenset(
    {"queue:drain", "reconcile", "workers:list", "workers:operate", "workers:force"}
)
_ADMINS_ONLY: frozenset[Permission] = frozenset({"audit:read", "file_policies:read", "file_policies:write"})
_OF_ROLE: dict[Role, frozenset[Permission]] = {
    "admin": PERMISSIONS,
    "operator": PERMISSIONS - _ADMINS_ONLY,
    "member": PERMISSIONS - _OPERATORS_ONLY - _ADMINS_ONLY,
}


@dataclass(frozen=True)
class Actor:
    """The user who makes a request."""

    user_id: UUID
    name: str
    role: Role
    scopes: frozenset[Permission] | None = None
    """The permissions of the role that the credential allows; None for all of them."""
    signed_in_by: SignInMethod | Literal["bearer"] = "bearer"
    expires_at: datetime | None = None
    sign_in_id: UUID | None = None
    token_id: UUID | None = None

    @property
    def credential_id(self) -> UUID | None:
        """The sign-in or token that the actor came with; None for an actor made without one."""
        return self.sign_in_id or self.token_id

    @property
    def author(self) -> str:
        """The user's name in event envelopes."""
        return f"user:{self.user_id}"


def actor_of(user: UserRow) -> Actor:
    return Actor(user_id=user.id, name=user.name, role=user.role)


def require(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden unless the actor's role and the scopes of the actor's token grant the permission."""
    if permission not in _OF_ROLE[actor.role]:
        raise Forbidden(f"Your role, {actor.role}, does not include {permission}.")
    if actor.scopes is not None and permission not in actor.scopes:
        raise Forbidden(f"The scopes of your token do not include {permission}.")


def permissions_of(actor: Actor) -> frozenset[Permission]:
    """Return the permissions of the actor: those of the role, narrowed by the scopes of the token."""
    return _OF_ROLE[actor.role] if actor.scopes is None else _OF_ROLE[actor.role] & actor.scopes


def may_see(actor: Actor, session: SessionRow) -> bool:
    """Return whether the actor owns the session or is an admin."""
    return session.owner_id == actor.user_id or actor.role == "admin"


def session_for(conn: Conn, actor: Actor, session_id: UUID) -> SessionRow:
    """Return the session if the actor may see it. Raises NotFound otherwise, so that foreign ids reveal nothing."""
    session = fetch_one(conn, "session_by_id", SessionRow, session_id=session_id)
    if session is None or not may_see(actor, session):
        raise NotFound("There is no such session.", code="unknown_session")
    return session
