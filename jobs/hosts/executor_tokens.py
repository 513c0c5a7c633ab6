"""Derive executors' tokens, and tell by which key the token of a running executor was made."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from jobs.runtime.executor_client import Endpoint
from schema.executor_api import ExecutorHealth
from schema.secret_keys import SecretKeys, credential_id, key_id
from schema.signature import executor_token


@dataclass(frozen=True)
class ExecutorTokens:
    """The tokens of all executors of a host. A new executor gets a token of the current key."""

    keys: SecretKeys

    def new(self, session_id: UUID, epoch: int) -> str:
        return executor_token(self.keys.current, session_id=session_id, epoch=epoch)

    def endpoint(self, base_url: str, session_id: UUID, health: ExecutorHealth) -> Endpoint:
        """Return the executor's endpoint, with the token that it was started with.

        An executor that was started with neither key, or that does not name its token, gets the current key's token.
        """
        for secret in self.keys.all:
            token = executor_token(secret, session_id=session_id, epoch=health.epoch)
            if credential_id(token) == health.token_id:
                return Endpoint(base_url, token, key_id=key_id(secret))
        return Endpoint(base_url, self.new(session_id, health.epoch))
