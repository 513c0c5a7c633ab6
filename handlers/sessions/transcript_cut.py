"""Cut what a transcript's items show of large inputs, outputs and diffs."""

from __future__ import annotations

import json
from typing import Any

from schema.wire import Json

MOST_BYTES = 8192
MOST_BYTES_OF_DIFFS = 65536
_FIELDS = {"tool": ("input", "output", "diffs"), "asked": ("toolCall",), "notice": ("data",)}


def cut_item(item: Json) -> Json:
    """Return the item as it is stored and sent.

    `isCut` says that something is missing. `whole` maps each field that was cut to the number of the event that has all
    of it. A request keeps its tool call whole until it is decided.
    """
    fields = _FIELDS.get(item["kind"], ())
    if item["kind"] == "asked" and item["decision"] is None:
        return item
    whole = dict(item.get("whole", {}))
    shown = {key: value for key, value in item.items() if key not in ("inputSeq", "outputSeq", "diffsSeq", "whole")}
    for field in fields:
        if item["kind"] == "tool" and f"{field}Seq" not in item:
            continue
        shown[field], is_cut = _cut_diffs(item[field]) if field == "diffs" else cut_json(item[field])
        whole.pop(field, None)
        if is_cut:
            whole[field] = item.get(f"{field}Seq", item["firstSeq"])
    shown.pop("isCut", None)
    return shown | {"isCut": True, "whole": whole} if whole else shown


def cut_json(value: object, most_bytes: int = MOST_BYTES) -> tuple[Any, bool]:
    """Return the value, with its texts cut when its JSON is longer than `most_bytes`, and whether it was cut."""
    if len(json.dumps(value, ensure_ascii=False).encode()) <= most_bytes:
        return value, False
    shown, _ = _within(value, most_bytes)
    return shown, True


def _within(value: object, left: int) -> tuple[Any, int]:
    """Return as much of the value as fits into `left` bytes, about, and the bytes that remain."""
    if isinstance(value, str):
        text = value.encode()[: max(left, 0)].decode(errors="ignore")
        return text, left - len(text.encode()) - 2
    if isinstance(value, dict):
        shown: Json = {}
        for key, inner in value.items():
            if left <= len(key):
                break
            shown[key], left = _within(inner, left - len(key) - 4)
        return shown, left
    if isinstance(value, list):
        items = []
        for inner in value:
            if left <= 0:
                break
            item, left = _within(inner, left - 2)
            items.append(item)
        return items, left
    return value, left - len(json.dumps(value))


def _cut_diffs(diffs: list[Any]) -> tuple[list[Any], bool]:
    """Cut each diff. A diff that was cut says `cut`."""
    left, is_cut = MOST_BYTES_OF_DIFFS, False
    shown: list[Any] = []
    for diff in diffs:
        part, part_is_cut = cut_json(diff, min(MOST_BYTES, left))
        if left <= 0:
            return shown, True
        if part_is_cut and isinstance(part, dict):
            part["cut"] = True
        shown.append(part)
        is_cut = is_cut or part_is_cut
        left -= len(json.dumps(part))
    return shown, is_cut
