"""AWS's signature version 4, checked by computing it again with botocore's own signer, in header and in query form.

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
DENIED = S3Refused(403, "AccessDenied", "Sign the request: nobody is served here without a signature.")


@dataclass(frozen=True)
class SignedRequest:
    """A request as it came: path and query percent-encoded, names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Signed:
    """What a request says of its signature."""

    credential: str
    headers: list[str]
    signature: str
    timestamp: str


def check_signature(asked: SignedRequest, *, key: Credentials, now: datetime) -> str | None:
    """The SHA-256 in hexadecimal that the body must have, None where the signature leaves it open. Raises Refused."""
    if "X-Amz-Signature=" in asked.query:
        _check_link(asked, key=key, now=now)
        return None
    scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
    if scheme != ALGORITHM:
        raise DENIED
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    signed = _signed(fields, credential="Credential", headers="SignedHeaders", signature="Signature", asked=asked)
    if abs(_moment(signed.timestamp) - now) > SKEW:
        raise S3Refused(403, "RequestTimeTooSkewed", "The request's time and the server's are too far apart.")
    digest = asked.headers.get("x-amz-content-sha256", "")
    if digest.startswith("STREAMING-") or not digest:
        raise S3Refused(501, "NotImplemented", "Send the body's SHA-256, or UNSIGNED-PAYLOAD, in x-amz-content-sha256.")
    _compare(asked, signed, key=key, signer=S3SigV4Auth, query=asked.query)
    return None if digest == UNSIGNED else digest


def _check_link(asked: SignedRequest, *, key: Credentials, now: datetime) -> None:
    fields = dict(parse_qsl(asked.query, keep_blank_values=True))
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise DENIED
    names = {"credential": "X-Amz-Credential", "headers": "X-Amz-SignedHeaders", "signature": "X-Amz-Signature"}
    signed = _signed(fields, **names, asked=asked)
    seconds = fields.get("X-Amz-Expires", "")
    if not seconds.isdecimal() or not 0 < int(seconds) <= LONGEST_LINK_SECONDS:
        raise S3Refused(400, "AuthorizationQueryParametersError", "X-Amz-Expires must be from 1 to 604800 seconds.")
    began = _moment(signed.timestamp)
    if began - SKEW > now or now > began + timedelta(seconds=int(seconds)):
        raise S3Refused(403, "AccessDenied", "Request has expired")
    query = "&".join(part for part in asked.query.split("&") if not part.startswith("X-Amz-Signature="))
    _compare(asked, signed, key=key, signer=S3SigV4QueryAuth, query=query)


def _signed(
    fields: Mapping[str, str], *, credential: str, headers: str, signature: str, asked: SignedRequest
) -> Signed:
    timestamp = fields.get("X-Amz-Date") or asked.headers.get("x-amz-date", "")
    try:
        signed = Signed(fields[credential], fields[headers].split(";"), fields[signature], timestamp)
    except KeyError:
        raise DENIED from None
    unsigned = {name for name in asked.headers if name.startswith("x-amz-")} - set(signed.headers)
    if "host" not in signed.headers or unsigned - {"x-amz-content-sha256"}:
        raise S3Refused(403, "AccessDenied", "There were headers present in the request which were not signed")
    return signed


def _compare(
    asked: SignedRequest, signed: Signed, *, key: Credentials, signer: type[S3SigV4Auth | S3SigV4QueryAuth], query: str
) -> None:
    access_key, _, scope = signed.credential.partition("/")
    parts = scope.split("/")
    if len(parts) != 4 or parts[2:] != ["s3", "aws4_request"] or not signed.timestamp.startswith(parts[0]):
        raise DENIED
    if not hmac.compare_digest(access_key.encode(), key.access_key.encode()):
        raise S3Refused(403, "InvalidAccessKeyId", "There is no such access key here.")
    headers = {name: asked.headers.get(name, "") for name in signed.headers}
    url = f"http://{asked.headers.get('host', '')}{asked.path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=asked.method, url=url, headers=headers)
    request.context["timestamp"] = signed.timestamp
    auth = signer(key, "s3", parts[1])
    wanted: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if not hmac.compare_digest(wanted.encode(), signed.signature.encode()):
        raise S3Refused(403, "SignatureDoesNotMatch", "The signature does not match; check the secret access key.")


def _moment(timestamp: str) -> datetime:
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise DENIED from None
