"""Check, issue and revoke bearer tokens. Only their digests are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import PERMISSIONS, Actor, Permission, permissions_of
from handlers.access.users import announce_revocation, user_named
from schema.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from schema.rows import Role, TokenRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value

MAX_TOKENS_PER_USER = 100
LONGEST_DAYS = 3650


@dataclass(frozen=True)
class TokenHolder:
    """The user of a bearer token, and what the token itself allows."""

    id: UUID
    name: str
    role: Role
    token_id: UUID
    scopes: list[str] | None
    expires_at: datetime | None
    is_due: bool

    @property
    def actor(self) -> Actor:
        return Actor(
            user_id=self.id,
            name=self.name,
            role=self.role,
            scopes=scopes_of(self.scopes),
            signed_in_by="bearer",
            expires_at=self.expires_at,
            token_id=self.token_id,
        )


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """A request for a token. `scopes` None allows everything that the user may do; `days` None never expires."""

    label: str
    scopes: Sequence[Permission] | None = None
    days: int | None = None


@dataclass(frozen=True)
class IssuedSecret:
    """The secret is shown once; only its digest is stored."""

    row: TokenRow
    secret: str


def authenticate(conn: Conn, token: str) -> Actor:
    """Return the token's user. Raises Unauthenticated."""
    holder = token_holder(conn, token)
    if holder.is_due:
        execute(conn, "note_token_use", token_id=holder.token_id)
    return holder.actor


def token_holder(conn: Conn, token: str) -> TokenHolder:
    """Return the token's holder. Raises Unauthenticated for an unknown, revoked or expired token or a disabled user."""
    holder = fetch_one(conn, "token_holder", TokenHolder, digest=_digest(token))
    if holder is None:
        raise Unauthenticated("The bearer token is unknown, expired or revoked.")
    return holder


def scopes_of(stored: Sequence[str] | None) -> frozenset[Permission] | None:
    """Return the stored scopes, without permissions that a later release has dropped; None means all."""
    return None if stored is None else frozenset(name for name in PERMISSIONS if name in stored)


def tokens_of(conn: Conn, user_name: str) -> list[TokenRow]:
    """Return the user's tokens, oldest first, including revoked tokens."""
    return fetch_all(conn, "tokens_of", TokenRow, user_id=user_named(conn, user_name).id)


def usable_tokens_of(conn: Conn, actor: Actor, *, before: tuple[str, UUID] | None, limit: int) -> list[TokenRow]:
    """A page of the actor's own tokens, newest first; `before` is the (createdAt, id) of the page's predecessor."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn, "usable_tokens_of", TokenRow, user_id=actor.user_id, before_at=at, before_id=last_id, limit=limit
    )


def revoke_tokens(conn: Conn, user_name: str, label: str) -> list[TokenRow]:
    """Refuse all of the user's tokens with this label from now on; the sign-ins made with them end too."""
    user = user_named(conn, user_name)
    revoked = fetch_all(conn, "revoke_tokens", TokenRow, user_id=user.id, label=label)
    if not revoked:
        raise NotFound(f"{user_name} has no token with the label {label}.", code="unknown_token")
    announce_revocation(conn, user.id)
    return revoked


def revoke_token(conn: Conn, actor: Actor, token_id: UUID) -> TokenRow:
    """Refuse one of the actor's own tokens from now on; the sign-ins made with it end too. Raises NotFound."""
    revoked = fetch_one(conn, "revoke_token", TokenRow, token_id=token_id, user_id=actor.user_id)
    if revoked is None:
        raise NotFound("You have no such token.", code="unknown_token")
    announce_revocation(conn, actor.user_id)
    return revoked


def issue_own_token(conn: Conn, actor: Actor, new: NewToken) -> IssuedSecret:
    """Issue a token for the actor, who can give away no more than they have.

    Raises Forbidden for a scope that the actor lacks, Invalid for a bad label or term, Conflict at the limit.
    """
    own = permissions_of(actor)
    scopes = new.scopes
    if scopes is None and actor.scopes is not None:
        scopes = sorted(own)
    lacking = sorted(set(scopes or ()) - own)
    if lacking:
        raise Forbidden(f"You may not give a token what you lack: {', '.join(lacking)}.")
    fetch_value(conn, "lock_user", user_id=actor.user_id)
    if fetch_value(conn, "count_usable_tokens_of", user_id=actor.user_id) >= MAX_TOKENS_PER_USER:
        raise Conflict(f"You have {MAX_TOKENS_PER_USER} tokens: revoke one first.", code="too_many_tokens")
    secret = _new_secret()
    row = _insert(
        conn, user_id=actor.user_id, new=NewToken(label=new.label, scopes=scopes, days=new.days), token=secret
    )
    if row is None:
        raise Conflict("That token exists already: ask again.")
    return IssuedSecret(row, secret)


def issue_token(conn: Conn, user_name: str, label: str, *, days: int | None = None) -> str:
    """Issue a bearer token for the user, with all that their role allows. It is returned once."""
    token = _new_secret()
    _insert(conn, user_id=user_named(conn, user_name).id, new=NewToken(label=label, days=days), token=token)
    return token


def admit_token(conn: Conn, *, user_name: str, label: str, token: str) -> None:
    """Accept a token made elsewhere (the local token of `make up`). Safe to repeat."""
    _insert(conn, user_id=user_named(conn, user_name).id, new=NewToken(label=label), token=token)


def _insert(conn: Conn, *, user_id: UUID, new: NewToken, token: str) -> TokenRow | None:
    """Store the token; return None when it is known already."""
    if not 1 <= len(new.label) <= 200:
        raise Invalid("A token's label has 1 to 200 characters.")
    if new.days is not None and not 1 <= new.days <= LONGEST_DAYS:
        raise Invalid(f"A token lives for 1 to {LONGEST_DAYS} days, or without an end.")
    return fetch_one(
        conn,
        "insert_token",
        TokenRow,
        digest=_digest(token),
        user_id=user_id,
        label=new.label,
        scopes=None if new.scopes is None else sorted(set(new.scopes)),
        seconds=None if new.days is None else new.days * 86_400,
    )


def _new_secret() -> str:
    return "ry_" + secrets.token_urlsafe(32)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
