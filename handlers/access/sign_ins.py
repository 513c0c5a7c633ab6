"""Browsers that are signed in: each is a row, and its cookie is good for as long as the row is.

A sign-in by token ends with the token, and allows no more than the token does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.access.tokens import scopes_of, token_holder
from handlers.access.users import announce_revocation
from schema.errors import NotFound, Unauthenticated
from schema.rows import Role, SignInMethod, SignInRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_the

SIGNED_IN_DAYS = 30
USER_AGENT_LENGTH = 200


@dataclass(frozen=True)
class _SignedIn:
    id: UUID
    name: str
    role: Role
    method: SignInMethod
    expires_at: datetime
    scopes: list[str] | None
    is_due: bool


def sign_in(
    conn: Conn, user_id: UUID, method: SignInMethod, *, user_agent: str, token_id: UUID | None = None
) -> SignInRow:
    """Sign a browser in for SIGNED_IN_DAYS, or until the token that was used expires."""
    return fetch_the(
        conn,
        "insert_sign_in",
        SignInRow,
        user_id=user_id,
        method=method,
        token_id=token_id,
        user_agent=user_agent.replace("\0", "")[:USER_AGENT_LENGTH],
        days=SIGNED_IN_DAYS,
    )


def sign_in_by_token(conn: Conn, token: str, *, user_agent: str) -> SignInRow:
    """Raises Unauthenticated for a token that is not good."""
    holder = token_holder(conn, token)
    return sign_in(conn, holder.id, "token", user_agent=user_agent, token_id=holder.token_id)


def authenticate_sign_in(conn: Conn, sign_in_id: UUID) -> Actor:
    """The user of a signed-in browser; raises Unauthenticated once the sign-in has ended or its user is disabled."""
    user = fetch_one(conn, "signed_in_user", _SignedIn, sign_in_id=sign_in_id)
    if user is None:
        raise Unauthenticated("This browser's sign-in has ended: sign in again.")
    if user.is_due:
        execute(conn, "note_sign_in_use", sign_in_id=sign_in_id)
    return Actor(
        user_id=user.id,
        name=user.name,
        role=user.role,
        scopes=scopes_of(user.scopes),
        signed_in_by=user.method,
        expires_at=user.expires_at,
        sign_in_id=sign_in_id,
    )


def sign_ins_of(conn: Conn, actor: Actor, *, before: tuple[str, UUID] | None, limit: int) -> list[SignInRow]:
    """A page of the actor's browsers that are signed in, newest first; `before` is the (createdAt, id) of the last."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn, "sign_ins_of", SignInRow, user_id=actor.user_id, before_at=at, before_id=last_id, limit=limit
    )


def end_sign_in(conn: Conn, actor: Actor, sign_in_id: UUID) -> SignInRow:
    """End a sign-in of the actor's at once and everywhere. Raises NotFound when they have no such sign-in."""
    ended = fetch_one(conn, "end_sign_in", SignInRow, sign_in_id=sign_in_id, user_id=actor.user_id)
    if ended is None:
        raise NotFound("You have no such sign-in.", code="unknown_sign_in")
    announce_revocation(conn, actor.user_id)
    return ended
