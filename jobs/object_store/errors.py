"""Errors of the object store: one exception with a kind and a sentence.

The sentence comes from the store's error code, never from the libraries' texts: they may hold a presigned URL, which is
a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from botocore import exceptions as botocore_errors

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
    "network": "The object store is unreachable. Check S3_ENDPOINT_URL and that the store runs.",
    "timeout": "The object store does not answer in time.",
    "denied": "The object store refuses the credentials or their rights. Check S3_ACCESS_KEY_ID and its rights.",
    "skewed": "The clocks of the object store and this machine differ too much. Set them right.",
    "no_bucket": "The bucket does not exist. Create it, or set S3_BUCKET to another.",
    "busy": "The object store is overloaded. Try again later.",
    "full": "The object store has no space left.",
    "too_large": "The object exceeds the size limit for one read.",
    "broken": "The object store failed.",
}
ABSENT = {"NoSuchKey", "404", "NotFound"}
UNKNOWN = {"NotImplemented", "501", "InvalidArgument", "InvalidRequest", "MethodNotAllowed", "405"}
"""The codes by which stores refuse an operation that they do not support."""
EXISTS = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


class StoreError(ObjectsUnavailable):
    """The object store did not perform a request. `kind` is the cause, `store_code` the store's own code or None."""

    def __init__(self, kind: StoreErrorKind, *, store_code: str | None = None, action: str = "") -> None:
        self.kind: StoreErrorKind = kind
        self.store_code = store_code
        aside = ", ".join(part for part in (action, store_code) if part)
        super().__init__(_SENTENCES[kind] + (f" ({aside})" if aside else ""))


@contextmanager
def translating_errors(action: str) -> Iterator[None]:
    """Translate the libraries' exceptions to NotFound or StoreError, without their texts."""
    try:
        yield
    except botocore_errors.ClientError as error:
        raise from_answer(error, action) from None
    except (botocore_errors.BotoCoreError, botocore_errors.HTTPClientError, ValueError) as error:
        raise from_trouble(error, action) from None


def from_answer(error: botocore_errors.ClientError, action: str) -> StoreError | NotFound:
    code = code_of(error)
    if code in ABSENT:
        return NotFound("The store has no such object.")
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return StoreError(KINDS.get(code) or KINDS.get(status, "broken"), store_code=code or status, action=action)


def from_trouble(error: Exception, action: str) -> StoreError:
    if isinstance(error, botocore_errors.ConnectTimeoutError | botocore_errors.ReadTimeoutError):
        return StoreError("timeout", action=action)
    if isinstance(
        error,
        botocore_errors.NoCredentialsError
        | botocore_errors.PartialCredentialsError
        | botocore_errors.CredentialRetrievalError,
    ):
        return StoreError("denied", store_code=type(error).__name__, action=action)
    if isinstance(
        error, botocore_errors.HTTPClientError | botocore_errors.ConnectionError | botocore_errors.IncompleteReadError
    ):
        return StoreError("network", store_code=type(error).__name__, action=action)
    return StoreError("broken", store_code=type(error).__name__, action=action)


def code_of(error: botocore_errors.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
