"""What goes wrong with the object store, as one error with a kind and a sentence.

The sentence is made from what the store said by code: never from texts of the libraries, which may hold an address that
is a secret while it works.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from botocore import exceptions as said

from jobs.object_store.contract import ObjectsUnavailable
from schema.errors import NotFound

StoreErrorKind = Literal["network", "timeout", "denied", "skewed", "no_bucket", "busy", "full", "too_large", "broken"]

KINDS: dict[str, StoreErrorKind] = {
    "AccessDenied": "denied",
    "InvalidAccessKeyId": "denied",
    "SignatureDoesNotMatch": "denied",
    "ExpiredToken": "denied",
    "InvalidToken": "denied",
    "403": "denied",
    "RequestTimeTooSkewed": "skewed",
    "NoSuchBucket": "no_bucket",
    "SlowDown": "busy",
    "503": "busy",
    "ServiceUnavailable": "busy",
    "QuotaExceeded": "full",
    "StorageFull": "full",
    "XMinioStorageFull": "full",
    "507": "full",
}
_SENTENCES: dict[StoreErrorKind, str] = {
    "network": "The object store cannot be reached; check S3_ENDPOINT_URL and that it runs.",
    "timeout": "The object store does not answer in time.",
    "denied": "The object store refuses the credentials, or what they may do; check S3_ACCESS_KEY_ID and its rights.",
    "skewed": "The object store's clock and this machine's are too far apart; set them right.",
    "no_bucket": "The bucket does not exist; make it, or name another by S3_BUCKET.",
    "busy": "The object store is overloaded and asks to come back later.",
    "full": "The object store has no space left.",
    "too_large": "The object is larger than what may be read at once.",
    "broken": "The object store failed.",
}
ABSENT = {"NoSuchKey", "404", "NotFound"}
EXISTS = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


class StoreError(ObjectsUnavailable):
    """The object store did not do what it was asked for. `kind` says why, `said` is the store's own code or None."""

    def __init__(self, kind: StoreErrorKind, *, said: str | None = None, doing: str = "") -> None:
        self.kind: StoreErrorKind = kind
        self.said = said
        aside = ", ".join(part for part in (doing, said) if part)
        super().__init__(_SENTENCES[kind] + (f" ({aside})" if aside else ""))


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the libraries raise into NotFound or StoreError, without their texts."""
    try:
        yield
    except said.ClientError as error:
        raise from_answer(error, doing) from None
    except (said.BotoCoreError, said.HTTPClientError, ValueError) as error:
        raise from_trouble(error, doing) from None


def from_answer(error: said.ClientError, doing: str) -> StoreError | NotFound:
    code = code_of(error)
    if code in ABSENT:
        return NotFound("There is no such object in the store.")
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return StoreError(KINDS.get(code) or KINDS.get(status, "broken"), said=code or status, doing=doing)


def from_trouble(error: Exception, doing: str) -> StoreError:
    if isinstance(error, said.ConnectTimeoutError | said.ReadTimeoutError):
        return StoreError("timeout", doing=doing)
    if isinstance(error, said.NoCredentialsError | said.PartialCredentialsError | said.CredentialRetrievalError):
        return StoreError("denied", said=type(error).__name__, doing=doing)
    if isinstance(error, said.HTTPClientError | said.ConnectionError | said.IncompleteReadError):
        return StoreError("network", said=type(error).__name__, doing=doing)
    return StoreError("broken", said=type(error).__name__, doing=doing)


def code_of(error: said.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
