"""Put a run's attachments into its first message: images as blocks where the agent takes them, and every path."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from acp import image_block, text_block
from acp.schema import ImageContentBlock, TextContentBlock

from executor.agents.turn import Turn
from executor.snapshotter.paths import READ, open_root, opened
from schema.executor_api import Attachment
from schema.snapshot_manifest import path_bytes

MOST_IMAGE_BYTES = 5 << 20
"""Models take no larger images."""
MOST_IMAGES = 20
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))

Block = TextContentBlock | ImageContentBlock


def attachment_blocks(turn: Turn, *, takes_images: bool) -> list[Block]:
    """Return a text that names the attached files, and their images. It reads files: call it in a thread."""
    if not turn.run.attachments:
        return []
    names = "\n".join(f"- {turn.workspace / attachment.path}" for attachment in turn.run.attachments)
    blocks: list[Block] = [text_block(f"I attached these files, which are in the workspace:\n{names}")]
    if not takes_images:
        return blocks
    with turn.account.acting():
        images = [_image(turn.workspace, attachment) for attachment in turn.run.attachments[:MOST_IMAGES]]
    return [*blocks, *(image for image in images if image is not None)]


def _image(workspace: Path, attachment: Attachment) -> ImageContentBlock | None:
    """Return the image as a block; None for anything else, and for a file that has gone."""
    try:
        data = _read(workspace, path_bytes(attachment.path))
    except OSError:
        return None
    mime_type = _image_type(data)
    return image_block(base64.b64encode(data).decode(), mime_type) if mime_type else None


def _read(workspace: Path, path: bytes) -> bytes:
    root = open_root(os.fsencode(workspace))
    try:
        with opened(root, path, READ) as descriptor:
            seen = os.fstat(descriptor)
            is_image = stat.S_ISREG(seen.st_mode) and seen.st_size <= MOST_IMAGE_BYTES
            return os.pread(descriptor, MOST_IMAGE_BYTES, 0) if is_image else b""
    finally:
        os.close(root)


def _image_type(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime_type for magic, mime_type in _MAGIC if data.startswith(magic)), None)
