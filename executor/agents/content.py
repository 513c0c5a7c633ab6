"""Turn the protocol's content blocks into text."""

from __future__ import annotations

from typing import Any


def text_of_block(block: Any) -> str:
    """Return the text of a content block, or a bracketed word for a block without text."""
    match block.type:
        case "text":
            return str(block.text)
        case "resource_link":
            return f"[{block.name}]({block.uri})"
        case "resource":
            return str(getattr(block.resource, "text", None) or f"[resource {block.resource.uri}]")
        case kind:
            return f"[{kind}: {block.mime_type}]"
