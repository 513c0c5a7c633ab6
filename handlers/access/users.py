"""Users: listed, added, disabled, enabled."""

from __future__ import annotations

from schema.errors import Conflict, Invalid, NotFound
from schema.rows import Role, UserRow
from schema.sql import Conn, fetch_all, fetch_one


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
