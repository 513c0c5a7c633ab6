"""Write and read the XML bodies of S3. The reader refuses document types, so that no body holds entities."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree as ET  # keys_to_delete refuses document types before it parses

from starlette.responses import Response

from cli.local.object_store_server import refusals
from cli.local.object_store_server.objects import ListingPage
from cli.local.object_store_server.refusals import S3Refused

SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_DELETED = 1000


def refusal(refused: S3Refused) -> Response:
    root = ET.Element("Error")
    _add(root, Code=refused.code, Message=refused.sentence)
    return _answer(root, status=refused.status)


def buckets(entry: Sequence[tuple[str, float]]) -> Response:
    root = ET.Element("ListAllMyBucketsResult", xmlns=SPACE)
    inside = ET.SubElement(root, "Buckets")
    for name, created in entry:
        _add(ET.SubElement(inside, "Bucket"), Name=name, CreationDate=_time(created))
    return _answer(root)


def location() -> Response:
    return _answer(ET.Element("LocationConstraint", xmlns=SPACE))


def listing(page: ListingPage, *, bucket: str, query: Mapping[str, str], limit: int) -> Response:
    def name(text: str) -> str:
        return quote(text, safe="/") if query.get("encoding-type") == "url" else text

    root = ET.Element("ListBucketResult", xmlns=SPACE)
    _add(root, Name=bucket, Prefix=name(query.get("prefix", "")), MaxKeys=str(limit))
    _add(root, KeyCount=str(len(page.objects) + len(page.prefixes)))
    _add(root, IsTruncated="true" if page.after is not None else "false")
    for parameter, element in (("encoding-type", "EncodingType"), ("continuation-token", "ContinuationToken")):
        if parameter in query:
            _add(root, **{element: query[parameter]})
    if query.get("delimiter"):
        _add(root, Delimiter=name(query["delimiter"]))
    if page.after is not None:
        _add(root, NextContinuationToken=base64.urlsafe_b64encode(page.after.encode()).decode())
    for entry in page.objects:
        inside = ET.SubElement(root, "Contents")
        _add(inside, Key=name(entry.key), LastModified=_time(entry.modified), ETag=f'"{entry.etag}"')
        _add(inside, Size=str(entry.size), StorageClass="STANDARD")
    for prefix in page.prefixes:
        _add(ET.SubElement(root, "CommonPrefixes"), Prefix=name(prefix))
    return _answer(root)


def after_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise S3Refused(400, "InvalidArgument", "The continuation token is invalid.") from None


def keys_to_delete(body: bytes) -> list[str]:
    if b"<!" in body:
        raise refusals.BAD_XML
    try:
        root = ET.fromstring(body)  # noqa: S314  without a document type there are no entities
    except ET.ParseError:
        raise refusals.BAD_XML from None
    keys = [entry.text or "" for entry in root.iterfind("{*}Object/{*}Key")]
    if len(keys) > MAX_DELETED:
        raise refusals.BAD_XML
    return keys


def deleted(keys: Sequence[str]) -> Response:
    root = ET.Element("DeleteResult", xmlns=SPACE)
    for key in keys:
        _add(ET.SubElement(root, "Deleted"), Key=key)
    return _answer(root)


def copied(*, etag: str) -> Response:
    root = ET.Element("CopyObjectResult", xmlns=SPACE)
    _add(root, ETag=f'"{etag}"', LastModified=_time(time.time()))
    return _answer(root)


def _add(parent: ET.Element, **texts: str) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = text


def _answer(root: ET.Element, *, status: int = 200) -> Response:
    return Response(ET.tostring(root, xml_declaration=True, encoding="UTF-8"), status, media_type="application/xml")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
