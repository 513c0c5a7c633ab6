"""Check AWS signature version 4, in headers and in queries, by computing it again with botocore's signer.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cli.local.object_store_server.refusals import S3Refused

SKEW = timedelta(minutes=15)
LONGEST_LINK_SECONDS = 7 * 24 * 3600
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
DENIED = S3Refused(403, "AccessDenied", "The request is not signed. Sign it with the store's key.")


@dataclass(frozen=True)
class SignedRequest:
    """A request as received: path and query percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Signed:
    """The signature fields of a request."""

    credential: str
    headers: list[str]
    signature: str
    timestamp: str


def claimed_key(request: SignedRequest) -> str:
    """Return the id of the access key that the request names; empty without one. Nothing proves it yet."""
    named = dict(parse_qsl(request.query)).get("X-Amz-Credential", "")
    _, _, header = request.headers.get("authorization", "").partition("Credential=")
    return (named or header).partition("/")[0]


def check_signature(request: SignedRequest, *, key: Credentials, now: datetime) -> str | None:
    """Return the hexadecimal SHA-256 that the body must have; None when it is unsigned. Raise S3Refused."""
    if "X-Amz-Signature=" in request.query:
        _check_link(request, key=key, now=now)
        return None
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme != ALGORITHM:
        raise DENIED
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    signed = _signed(fields, credential="Credential", headers="SignedHeaders", signature="Signature", request=request)
    if abs(_parse_timestamp(signed.timestamp) - now) > SKEW:
        raise S3Refused(403, "RequestTimeTooSkewed", "The request's time and the server's are too far apart.")
    digest = request.headers.get("x-amz-content-sha256", "")
    if digest.startswith("STREAMING-") or not digest:
        raise S3Refused(501, "NotImplemented", "Send the body's SHA-256, or UNSIGNED-PAYLOAD, in x-amz-content-sha256.")
    _compare(request, signed, key=key, signer=S3SigV4Auth, query=request.query)
    return None if digest == UNSIGNED else digest


def _check_link(request: SignedRequest, *, key: Credentials, now: datetime) -> None:
    fields = dict(parse_qsl(request.query, keep_blank_values=True))
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise DENIED
    names = {"credential": "X-Amz-Credential", "headers": "X-Amz-SignedHeaders", "signature": "X-Amz-Signature"}
    signed = _signed(fields, **names, request=request)
    seconds = fields.get("X-Amz-Expires", "")
    if not seconds.isdecimal() or not 0 < int(seconds) <= LONGEST_LINK_SECONDS:
        raise S3Refused(400, "AuthorizationQueryParametersError", "X-Amz-Expires must be from 1 to 604800 seconds.")
    signed_at = _parse_timestamp(signed.timestamp)
    if signed_at - SKEW > now or now > signed_at + timedelta(seconds=int(seconds)):
        raise S3Refused(403, "AccessDenied", "Request has expired")
    query = "&".join(part for part in request.query.split("&") if not part.startswith("X-Amz-Signature="))
    _compare(request, signed, key=key, signer=S3SigV4QueryAuth, query=query)


def _signed(
    fields: Mapping[str, str], *, credential: str, headers: str, signature: str, request: SignedRequest
) -> Signed:
    timestamp = fields.get("X-Amz-Date") or request.headers.get("x-amz-date", "")
    try:
        signed = Signed(fields[credential], fields[headers].split(";"), fields[signature], timestamp)
    except KeyError:
        raise DENIED from None
    unsigned = {name for name in request.headers if name.startswith("x-amz-")} - set(signed.headers)
    if "host" not in signed.headers or unsigned - {"x-amz-content-sha256"}:
        raise S3Refused(403, "AccessDenied", "There were headers present in the request which were not signed")
    return signed


def _compare(
    request: SignedRequest,
    signed: Signed,
    *,
    key: Credentials,
    signer: type[S3SigV4Auth | S3SigV4QueryAuth],
    query: str,
) -> None:
    access_key, _, scope = signed.credential.partition("/")
    parts = scope.split("/")
    if len(parts) != 4 or parts[2:] != ["s3", "aws4_request"] or not signed.timestamp.startswith(parts[0]):
        raise DENIED
    if not hmac.compare_digest(access_key.encode(), key.access_key.encode()):
        raise S3Refused(403, "InvalidAccessKeyId", "The access key does not exist.")
    headers = {name: request.headers.get(name, "") for name in signed.headers}
    url = f"http://{request.headers.get('host', '')}{request.path}" + (f"?{query}" if query else "")
    aws_request = AWSRequest(method=request.method, url=url, headers=headers)
    aws_request.context["timestamp"] = signed.timestamp
    auth = signer(key, "s3", parts[1])
    wanted: str = auth.signature(auth.string_to_sign(aws_request, auth.canonical_request(aws_request)), aws_request)
    if not hmac.compare_digest(wanted.encode(), signed.signature.encode()):
        raise S3Refused(403, "SignatureDoesNotMatch", "The signature does not match; check the secret access key.")


def _parse_timestamp(timestamp: str) -> datetime:
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise DENIED from None
