"""The secret key of a deployment, and the key before it while the key is being changed."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

ID_DIGITS = 16


@dataclass(frozen=True)
class SecretKeys:
    """`current` makes all that is new. `previous` still verifies; it is None unless the key is being changed."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    @property
    def all(self) -> tuple[bytes, ...]:
        """Return the keys that verify, the current one first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)

    @property
    def ids(self) -> list[str]:
        return [key_id(secret) for secret in self.all]


def key_id(secret: bytes) -> str:
    """Return the name of a key for rows. It does not reveal the key."""
    return hmac.new(secret, b"key id", hashlib.sha256).hexdigest()[:ID_DIGITS]


def credential_id(credential: str) -> str:
    """Return the name of a token or callback key, by which two programs tell whether they hold the same one."""
    return hashlib.sha256(credential.encode()).hexdigest()[:ID_DIGITS]
