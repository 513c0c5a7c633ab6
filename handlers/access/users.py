"""List, add, disable and enable users."""

from __future__ import annotations

from uuid import UUID

from schema.errors import Conflict, Invalid, NotFound
from schema.rows import Role, UserRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_value


def list_users(conn: Conn) -> list[UserRow]:
    return fetch_all(conn, "users", UserRow)


def user_named(conn: Conn, name: str) -> UserRow:
    user = fetch_one(conn, "user_by_name", UserRow, name=name)
    if user is None:
        raise NotFound(f"There is no user named {name}.", code="unknown_user")
    return user


def add_user(conn: Conn, name: str, role: Role) -> UserRow:
    """Add a user. Raises Conflict when the name is taken, Invalid for a bad name."""
    if not 1 <= len(name) <= 200:
        raise Invalid("A user's name has 1 to 200 characters.")
    user = fetch_one(conn, "insert_user", UserRow, name=name, role=role)
    if user is None:
        raise Conflict(f"There is a user named {name} already.", code="user_exists")
    return user


def disable_user(conn: Conn, name: str) -> UserRow:
    """Refuse the user's tokens from now on, and end their sign-ins; what they own stays.

    The job worker then cancels their queued runs and stops their live ones (handlers/runs/leavers.py).
    """
    user = fetch_one(conn, "disable_user", UserRow, name=name)
    if user is None:
        raise NotFound(f"There is no user named {name}.", code="unknown_user")
    execute(conn, "end_sign_ins_of", user_id=user.id)
    announce_revocation(conn, user.id)
    return user


def announce_revocation(conn: Conn, user_id: UUID) -> None:
    """Have every API process check the user's open streams again, once this transaction is committed."""
    fetch_value(conn, "notify_revoked", user_id=user_id)


def enable_user(conn: Conn, name: str) -> UserRow:
    """Enable the user's tokens again, except revoked tokens. Raises NotFound."""
    user = fetch_one(conn, "enable_user", UserRow, name=name)
    if user is None:
        raise NotFound(f"There is no user named {name}.", code="unknown_user")
    return user
