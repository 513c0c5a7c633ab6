"""Tell what a file is by its name and its first bytes, and show text: pure functions over bytes."""

from __future__ import annotations

import codecs
import mimetypes
import re
from dataclasses import dataclass
from typing import Literal

from handlers.files.tree import split_path
from schema.snapshot_manifest import ENCODED, path_bytes

PREVIEW_BYTES = 256 * 1024
PDF_TYPE = "application/pdf"
PDF_MAGIC = b"%PDF-"
PreviewKind = Literal["text", "markdown", "csv", "image", "pdf", "binary"]
LineEnds = Literal["lf", "crlf", "cr", "mixed", "none"]

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_OF_SUFFIX: dict[str, PreviewKind] = {"md": "markdown", "markdown": "markdown", "csv": "csv", "tsv": "csv"}
_NOT_IN_TEXT = re.compile("[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_LINE_END = re.compile("\r\n|\r|\n")
_UNSAFE_IN_NAMES = re.compile(
    '[\x00-\x1f\x7f-\x9f"\\\\/:*?<>|\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd]'
)


@dataclass(frozen=True)
class Preview:
    """The part of a file that a person is shown. Only text has `text`, `encoding` and `line_ends`."""

    kind: PreviewKind
    mime_type: str
    text: str | None = None
    encoding: str | None = None
    line_ends: LineEnds | None = None


def preview_of(path: str, head: bytes, *, is_cut: bool) -> Preview:
    """Describe a file by its path and its first bytes; `is_cut` when it has more."""
    image = _image_type(head)
    if image is not None:
        return Preview("image", image)
    if is_pdf(head):
        return Preview("pdf", PDF_TYPE)
    decoded = _decoded(head, is_cut=is_cut)
    if decoded is None:
        return Preview("binary", mime_type_of(path))
    text, encoding = decoded
    kind = _OF_SUFFIX.get(split_path(path)[1].rpartition(".")[2].lower(), "text")
    return Preview(kind, mime_type_of(path, is_text=True), text, encoding, _line_ends(text))


def is_pdf(head: bytes) -> bool:
    """Whether a file begins as a PDF does. Some PDFs have other bytes before that: those are no PDF here."""
    return head.startswith(PDF_MAGIC)


def mime_type_of(path: str, *, is_text: bool = False) -> str:
    """Guess the type by the name."""
    guessed, compressed = mimetypes.guess_type("file." + safe_name(path).rpartition(".")[2], strict=True)
    if guessed is None or compressed is not None:
        return "text/plain" if is_text else "application/octet-stream"
    return guessed


def safe_name(path: str) -> str:
    """Return the last name of a path for a header or an archive: without controls, separators and changes of the
    direction of text."""
    name = split_path(path)[1]
    if path.startswith(ENCODED):
        name = path_bytes(path).rpartition(b"/")[2].decode(errors="replace")
    return safe_text(name)


def safe_text(name: str) -> str:
    cleaned = _UNSAFE_IN_NAMES.sub("_", name)
    return "_" if cleaned.strip(". ") == "" else cleaned


def _image_type(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((mime_type for magic, mime_type in _IMAGES if head.startswith(magic)), None)


def _decoded(head: bytes, *, is_cut: bool) -> tuple[str, str] | None:
    """Return the text and its encoding; None for bytes that are no text. A character that the cut split is left out."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            body = head if encoding == "utf-8-sig" else head[len(bom) :]
            return codecs.getincrementaldecoder(encoding)(errors="replace").decode(body, final=not is_cut), encoding
    for encoding in ("utf-8", "cp1252"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head, final=not is_cut)
        except UnicodeDecodeError:
            continue
        return None if _NOT_IN_TEXT.search(text) else (text, encoding)
    return None


def _line_ends(text: str) -> LineEnds:
    kinds = set(_LINE_END.findall(text))
    if len(kinds) > 1:
        return "mixed"
    names: dict[str, LineEnds] = {"\n": "lf", "\r\n": "crlf", "\r": "cr"}
    return names[kinds.pop()] if kinds else "none"
