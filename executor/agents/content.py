"""Content blocks of the protocol as text."""

from __future__ import annotations

from typing import Any


def text_of_block(block: Any) -> str:
    """The text of a content block; a bracketed word for what is not text."""
    match block.type:
        case "text":
            return str(block.text)
        case "resource_link":
            return f"[{block.name}]({block.uri})"
        case "resource":
            return str(getattr(block.resource, "text", None) or f"[resource {block.resource.uri}]")
        case kind:
            return f"[{kind}: {block.mime_type}]"
