"""Who may do what: users, their roles and tokens, and the apps that they use."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from schema.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from schema.human_policy import read_policy
from schema.rows import AppRow, Role, SessionRow, TokenRow, UserRow
from schema.runtime_manifest import read_manifest
from schema.sql import Conn, execute, fetch_all, fetch_one, jsonb
from schema.wire import Json
from schema.worker_limits import read_limits

Permission = Literal[
    "sessions:read",
    "sessions:write",
    "snapshots:read",
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
    "workers:list",
    "workers:read",
    "workers:operate",
    "workers:force",
]
PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))
_OPERATORS_ONLY: frozenset[Permission] = frozenset(
    {"queue:drain", "reconcile", "workers:list", "workers:operate", "workers:force"}
)
_OF_ROLE: dict[Role, frozenset[Permission]] = {
    "admin": PERMISSIONS,
    "operator": PERMISSIONS,
    "member": PERMISSIONS - _OPERATORS_ONLY,
}


@dataclass(frozen=True)
class Actor:
    """The user on whose behalf a request is done."""

    user_id: UUID
    name: str
    role: Role

    @property
    def author(self) -> str:
        """As event envelopes name them."""
        return f"user:{self.user_id}"


def actor_of(user: UserRow) -> Actor:
    return Actor(user_id=user.id, name=user.name, role=user.role)


def authenticate(conn: Conn, token: str) -> Actor:
    """The user whose bearer token this is; raises Unauthenticated."""
    user = fetch_one(conn, "user_by_token", UserRow, digest=_digest(token))
    if user is None:
        raise Unauthenticated("The bearer token is unknown or revoked.")
    return actor_of(user)


def authenticate_user(conn: Conn, user_id: UUID) -> Actor:
    """The user of a signed-in browser; raises Unauthenticated when they were disabled since."""
    user = fetch_one(conn, "user_by_id", UserRow, user_id=user_id)
    if user is None or user.disabled_at is not None:
        raise Unauthenticated()
    return actor_of(user)


def require(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden unless the actor's role grants it."""
    if permission not in _OF_ROLE[actor.role]:
        raise Forbidden(f"Your role, {actor.role}, does not include {permission}.")


def may_see(actor: Actor, session: SessionRow) -> bool:
    """A session is its owner's; admins see every one."""
    return session.owner_id == actor.user_id or actor.role == "admin"


def session_for(conn: Conn, actor: Actor, session_id: UUID) -> SessionRow:
    """The session if the actor may see it; NotFound otherwise, so that ids of others tell nothing."""
    session = fetch_one(conn, "session_by_id", SessionRow, session_id=session_id)
    if session is None or not may_see(actor, session):
        raise NotFound("There is no such session.", code="unknown_session")
    return session


def list_users(conn: Conn) -> list[UserRow]:
    return fetch_all(conn, "users", UserRow)


def user_named(conn: Conn, name: str) -> UserRow:
    user = fetch_one(conn, "user_by_name", UserRow, name=name)
    if user is None:
        raise NotFound(f"There is no user named {name}.", code="unknown_user")
    return user


def add_user(conn: Conn, name: str, role: Role) -> UserRow:
    """The new user; raises Conflict when the name is taken."""
    if not 1 <= len(name) <= 200:
        raise Invalid("A user's name has 1 to 200 characters.")
    user = fetch_one(conn, "insert_user", UserRow, name=name, role=role)
    if user is None:
        raise Conflict(f"There is a user named {name} already.", code="user_exists")
    return user


def disable_user(conn: Conn, name: str) -> UserRow:
    """From now on none of their tokens is accepted; what they own stays."""
    user = fetch_one(conn, "disable_user", UserRow, name=name)
    if user is None:
        raise NotFound(f"There is no user named {name}.", code="unknown_user")
    return user


def enable_user(conn: Conn, name: str) -> UserRow:
    """From now on their tokens are accepted again, but for those that were revoked."""
    user = fetch_one(conn, "enable_user", UserRow, name=name)
    if user is None:
        raise NotFound(f"There is no user named {name}.", code="unknown_user")
    return user


def tokens_of(conn: Conn, user_name: str) -> list[TokenRow]:
    """The oldest first, revoked ones too."""
    return fetch_all(conn, "tokens_of", TokenRow, user_id=user_named(conn, user_name).id)


def revoke_tokens(conn: Conn, user_name: str, label: str) -> list[TokenRow]:
    """From now on none of the user's tokens with this label is accepted, for good."""
    revoked = fetch_all(conn, "revoke_tokens", TokenRow, user_id=user_named(conn, user_name).id, label=label)
    if not revoked:
        raise NotFound(f"{user_name} has no token with the label {label}.", code="unknown_token")
    return revoked


def issue_token(conn: Conn, user_name: str, label: str) -> str:
    """A new bearer token for the user. It is told once; only its digest is kept."""
    token = "ry_" + secrets.token_urlsafe(32)
    admit_token(conn, user_name=user_name, label=label, token=token)
    return token


def admit_token(conn: Conn, *, user_name: str, label: str, token: str) -> None:
    """Accept a token that was made elsewhere (the local one of the embedded mode). Safe to repeat."""
    user = user_named(conn, user_name)
    execute(conn, "insert_token", digest=_digest(token), user_id=user.id, label=label)


def list_apps(conn: Conn) -> list[AppRow]:
    return fetch_all(conn, "apps", AppRow)


def app_named(conn: Conn, name: str) -> AppRow:
    app = fetch_one(conn, "app_by_name", AppRow, name=name)
    if app is None:
        raise NotFound(f"There is no app named {name}.", code="unknown_app")
    return app


def app_by_id(conn: Conn, app_id: UUID) -> AppRow:
    app = fetch_one(conn, "app_by_id", AppRow, app_id=app_id)
    if app is None:
        raise NotFound("There is no such app.", code="unknown_app")
    return app


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """What an operator sets of an app; None is left as it is, or empty for a new one. Checked when it is written."""

    options: Json | None = None
    manifest: Json | None = None
    limits: Json | None = None
    human_loop: Json | None = None


AS_BEFORE = AppSettings()


def add_app(conn: Conn, name: str, provider: str, settings: AppSettings = AS_BEFORE) -> AppRow:
    """The new app; raises Conflict when the name is taken, Invalid and PathOutsideWorkspace for bad settings."""
    given = {key: value or jsonb({}) for key, value in _checked(settings).items()}
    app = fetch_one(conn, "insert_app", AppRow, name=name, provider=provider, **given)
    if app is None:
        raise Conflict(f"There is an app named {name} already.", code="app_exists")
    return app


def set_app(conn: Conn, name: str, *, provider: str | None = None, settings: AppSettings = AS_BEFORE) -> AppRow:
    """Change what is given and count the app's version up. Raises as add_app, and NotFound."""
    app = fetch_one(conn, "update_app", AppRow, name=name, provider=provider, **_checked(settings))
    if app is None:
        raise NotFound(f"There is no app named {name}.", code="unknown_app")
    return app


def _checked(settings: AppSettings) -> dict[str, object]:
    """As they are stored: paths normalised."""
    manifest, limits, human_loop = settings.manifest, settings.limits, settings.human_loop
    return {
        "options": None if settings.options is None else jsonb(settings.options),
        "manifest": None if manifest is None else jsonb(read_manifest(manifest).stored()),
        "limits": None if limits is None else jsonb(read_limits(limits).to_json()),
        "human_loop": None if human_loop is None else jsonb(read_policy(human_loop).to_json()),
    }


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
