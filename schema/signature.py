"""Sign callbacks and derive workers' tokens from one secret, so that no key is stored.

Signatures follow Standard Webhooks (v1: HMAC-SHA256 over `id.timestamp.body`). Its library signs. It would verify only
after it has copied the body three times, so verifying, which strangers cause, is done here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from standardwebhooks.webhooks import Webhook

ATTEMPT_HEADER = "runyard-attempt"
"""Names the attempt whose key signed a callback, so that the signature is checked before the body is parsed."""
TOLERANCE_SECONDS = 300
MOST_SIGNATURES = 8
_KEY_PREFIX = "whsec_"
_TIMESTAMP_DIGITS = 12


def parse_secret(text: str) -> bytes:
    """Parse RUNYARD_SECRET_KEY: at least 64 hexadecimal digits, so 32 bytes. Raises ValueError without the text."""
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        raise ValueError("must be hexadecimal digits") from None
    if len(secret) < 32:
        raise ValueError("must hold at least 32 bytes, so 64 hexadecimal digits")
    return secret


def callback_key(secret: bytes, *, run_id: UUID, attempt: int, generation: int) -> str:
    """Return the key that signs one attempt's callbacks, as `whsec_...`. `generation` grows when a key is rotated."""
    return _KEY_PREFIX + base64.b64encode(_derive(secret, f"callback:{run_id}:{attempt}:{generation}")).decode()


def executor_token(secret: bytes, *, session_id: UUID, epoch: int) -> str:
    """Return the bearer token that one worker's executor expects."""
    return base64.urlsafe_b64encode(_derive(secret, f"executor:{session_id}:{epoch}")).rstrip(b"=").decode()


def signed_headers(key: str, body: bytes, *, now: datetime | None = None) -> dict[str, str]:
    """Return the three `webhook-*` headers for a body that is sent now."""
    message_id, at = f"msg_{uuid4().hex}", now or datetime.now(UTC)
    signature = Webhook(key).sign(message_id, at, body.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


@dataclass(frozen=True)
class Signature:
    """The `webhook-*` headers of a call that was sent within the last five minutes."""

    message_id: bytes
    timestamp: bytes
    digests: tuple[bytes, ...]

    def is_by(self, keys: Iterable[str], body: bytes) -> bool:
        """Return whether any of the keys signed this body. The body is neither copied nor decoded."""
        made = [_digest(key, (self.message_id, b".", self.timestamp, b".", body)) for key in keys]
        return any(hmac.compare_digest(ours, theirs) for ours in made for theirs in self.digests)


def read_signature(headers: Mapping[str, str], *, now: datetime | None = None) -> Signature | None:
    """Read the headers, by their names in lower case; None when one is missing, malformed, or too old or new."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (message_id and timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _TIMESTAMP_DIGITS):
        return None
    if abs((now or datetime.now(UTC)).timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        return None
    signatures = headers.get("webhook-signature", "").split(" ")[:MOST_SIGNATURES]
    digests = tuple(digest for signature in signatures if (digest := _given_digest(signature)) is not None)
    return Signature(message_id.encode(), timestamp.encode(), digests) if digests else None


def is_signed(keys: Iterable[str], body: bytes, headers: Mapping[str, str]) -> bool:
    """Return whether any of the keys signed this body within the last five minutes."""
    signature = read_signature(headers)
    return signature is not None and signature.is_by(keys, body)


def _given_digest(versioned: str) -> bytes | None:
    version, _, text = versioned.partition(",")
    if version != "v1":
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:  # no base64, or no ASCII
        return None
    return digest if len(digest) == hashlib.sha256().digest_size else None


def _digest(key: str, parts: Iterable[bytes]) -> bytes:
    made = hmac.new(base64.b64decode(key.removeprefix(_KEY_PREFIX)), digestmod=hashlib.sha256)
    for part in parts:
        made.update(part)
    return made.digest()


def _derive(secret: bytes, purpose: str) -> bytes:
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()
