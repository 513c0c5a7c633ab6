"""Sign callbacks and derive workers' tokens from one secret, so that no key is stored.

Signatures follow Standard Webhooks (v1: HMAC-SHA256 over `id.timestamp.body`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


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
    return "whsec_" + base64.b64encode(_derive(secret, f"callback:{run_id}:{attempt}:{generation}")).decode()


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


def is_signed(keys: Iterable[str], body: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether any of the keys signed this body within the last five minutes (Standard Webhooks' tolerance)."""
    return any(_verifies(key, body, headers) for key in keys)


def _verifies(key: str, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        Webhook(key).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: undecodable bytes or base64
        return False
    return True


def _derive(secret: bytes, purpose: str) -> bytes:
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()
