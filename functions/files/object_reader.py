"""Read the object store from the API: the only module of the HTTP edge that knows S3. It only reads.

Errors hold no text of the libraries, which may name a key or a link.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar

import boto3
from botocore import exceptions as botocore_errors
from botocore.config import Config

from functions.runtime.settings import ApiSettings
from schema.errors import Unavailable
from schema.store_client import client_keywords

READ_SECONDS = 15.0
ATTEMPTS = 2
CONNECTIONS = 16
PIECE_BYTES = 64 * 1024
LINK_SECONDS = 60
_ABSENT = {"NoSuchKey", "404", "NotFound"}


class FilesUnavailable(Unavailable):
    """The object store cannot be read now. Try again shortly."""

    code: ClassVar[str] = "object_store_unavailable"


class ObjectMissing(Unavailable):
    """The object store has lost an object of the snapshot. Choose another snapshot, and check the store."""

    code: ClassVar[str] = "object_missing"


class ObjectReader:
    """The objects of one deployment. Its methods are thread-safe and raise FilesUnavailable or ObjectMissing."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._opening = threading.Lock()
        self._client: Any = None
        self._signing: Any = None

    def read(self, key: str, *, most_bytes: int) -> bytes:
        """Return an object's bytes. An object of more than `most_bytes` is FilesUnavailable, before it is read."""
        with _translated():
            answer = self._open().get_object(Bucket=self._settings.s3_bucket, Key=key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > most_bytes:
                    raise FilesUnavailable("An object of the snapshot is larger than any that Runyard writes.")
                content: bytes = body.read()
        return content

    def stream(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes from `start` up to `end` (exclusive; None for all) in pieces."""
        span = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        with _translated():
            answer = self._open().get_object(Bucket=self._settings.s3_bucket, Key=key, **span)
        with closing(answer["Body"]) as body:
            while True:
                with _translated():
                    piece = body.read(PIECE_BYTES)
                if not piece:
                    return
                yield piece

    def link(self, key: str, *, disposition: str) -> str | None:
        """Return an address of the object for LINK_SECONDS, which is a secret; None where the store is not public."""
        if self._settings.s3_public_endpoint_url is None:
            return None
        with _translated():
            self._open()
            asked = {"Bucket": self._settings.s3_bucket, "Key": key}
            shown = {"ResponseContentDisposition": disposition, "ResponseContentType": "application/octet-stream"}
            address: str = self._signing.generate_presigned_url(
                "get_object", Params={**asked, **shown}, ExpiresIn=LINK_SECONDS
            )
        return address

    def _open(self) -> Any:
        """Return the client. The first call makes it, which loads the library's description of S3."""
        if not self._settings.s3_bucket:
            raise FilesUnavailable("This deployment has no object store, so no files are saved. Set S3_BUCKET.")
        with self._opening:
            if self._client is None:
                self._signing = _client(self._settings, self._settings.s3_public_endpoint_url)
                self._client = _client(self._settings, self._settings.s3_endpoint_url)
        return self._client


def _client(settings: ApiSettings, endpoint_url: str | None) -> Any:
    access_key, secret = settings.s3_read_access_key_id, settings.s3_read_secret_access_key
    if access_key is None:
        access_key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=access_key,
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
        config=Config(**client_keywords(read_seconds=READ_SECONDS, attempts=ATTEMPTS, connections=CONNECTIONS)),
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except botocore_errors.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        raise (ObjectMissing() if code in _ABSENT else FilesUnavailable(_refused(code))) from None
    except (botocore_errors.BotoCoreError, botocore_errors.HTTPClientError, ValueError):
        raise FilesUnavailable from None


def _refused(code: str) -> str:
    if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return "The object store refuses the API's key. Check S3_READ_ACCESS_KEY_ID and its rights."
    return "The object store cannot be read now. Try again shortly."
