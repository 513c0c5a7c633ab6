"""Bearer tokens: checked, issued, revoked. Only their digests are stored."""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

from handlers.access.permissions import Actor, actor_of
from handlers.access.users import user_named
from schema.errors import NotFound, Unauthenticated
from schema.rows import TokenRow, UserRow
from schema.sql import Conn, execute, fetch_all, fetch_one


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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
