"""Tell a connection pooler from the server itself, and say which address the parts that need a session use.

A pooler in transaction mode lends a server connection for one transaction. Session settings, session locks, LISTEN and
prepared statements would reach other clients' transactions, so they need an address that leads past the pooler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from schema.addresses import database_address
from schema.sql import Conn, fetch_value

DatabasePooler = Literal["", "transaction", "session"]
_UNDECLARED = (
    "DATABASE_URL leads through a connection pooler. Set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL, or name "
    "the server itself (docs/deploying.md)."
)
_NOT_DIRECT = "DATABASE_DIRECT_URL leads through a connection pooler. Name the server itself."
ADDRESSES = ("DATABASE_DIRECT_URL", "DATABASE_URL")
"""Variables that name the database, the one past the pooler first."""


def _secret_address(value: SecretStr) -> SecretStr:
    database_address(value.get_secret_value())
    return value


SecretAddress = Annotated[SecretStr, AfterValidator(_secret_address)]


class PoolerSettings(BaseSettings):
    """The settings that tell the API and the job worker of a pooler before the database."""

    database_pooler: DatabasePooler = Field(
        default="",
        description="`transaction`: `DATABASE_URL` leads through a pooler such as PgBouncer in transaction mode. "
        "`session`: one that keeps a server connection for each of ours. Unset: a pooler is refused at start.",
    )
    database_direct_url: SecretAddress | None = Field(
        default=None,
        description="Address of PostgreSQL past the pooler, for `LISTEN`, the job worker and migrations. Required "
        "where `DATABASE_POOLER` is `transaction`.",
    )

    @model_validator(mode="after")
    def _knows_a_way_past_the_pooler(self) -> PoolerSettings:
        if self.database_pooler == "transaction" and self.database_direct_url is None:
            raise ValueError("DATABASE_POOLER=transaction needs DATABASE_DIRECT_URL, which leads past the pooler")
        return self

    def direct_dsn(self, dsn: str) -> str:
        """Return the address past the pooler: `dsn` unless another is set."""
        return self.database_direct_url.get_secret_value() if self.database_direct_url else dsn


def named_database(environ: Mapping[str, str]) -> str | None:
    """Return the address for work that needs a session; None when no address is set."""
    return next((environ[name] for name in ADDRESSES if environ.get(name)), None)


def pooler_fault(conn: Conn, pooler: str) -> str | None:
    """Say that this connection, which must be direct, leads through a pooler. `conn` is in autocommit mode.

    The server names its process at the login and in a query. A pooler answers the login itself, with another number.
    """
    if pooler == "session" or fetch_value(conn, "backend_pid") == conn.info.backend_pid:
        return None
    return _NOT_DIRECT if pooler else _UNDECLARED
