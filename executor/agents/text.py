"""Clean an agent's text: replace NUL and lone surrogates by U+FFFD, limit its size, and hide secret values in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from operator import is_
from typing import Any

from executor.secret_search import SecretSearch, SecretSpan

OUTPUT_LIMIT = 64 * 1024
"""Bytes kept of one tool output or input. A longer one keeps head and tail with a note between."""
DELTA_LIMIT = 64 * 1024
CHUNK_LIMIT = 1024 * 1024

MAX_DEPTH = 60
"""Levels of nesting kept of a message, so that every reader can parse the resulting event."""
NESTED_TOO_DEEPLY = "[nested too deeply]"

HIDDEN = "[secret]"
"""Stands for a secret value in events and logs."""
MOST_HELD = 64 * 1024
"""Characters of a growing text that are held back at most: line ends inside of a value could make them many."""

_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return the text with U+FFFD for characters that PostgreSQL or UTF-8 cannot hold."""
    return _UNFIT.sub("\ufffd", text)


def clean_json(value: Any) -> Any:
    """Return the JSON value with every text in it cleaned, keys included."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_json(key): clean_json(item) for key, item in value.items()}
    return value


def cut_depth(value: Any, levels: int = MAX_DEPTH) -> Any:
    """Return the JSON value with a note in place of every object and list below `levels`."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return NESTED_TOO_DEEPLY
    if isinstance(value, list):
        return [cut_depth(item, levels - 1) for item in value]
    return {key: cut_depth(item, levels - 1) for key, item in value.items()}


def cut_text(text: str, limit: int = OUTPUT_LIMIT) -> str:
    """Return at most about `limit` bytes of the text: head and tail, with a note of the missing size between."""
    if len(text) * 4 <= limit:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    head, tail = data[: limit * 3 // 4], data[-(limit // 4) :]
    note = f"\n[... {len(data) - len(head) - len(tail)} bytes left out ...]\n"
    return head.decode("utf-8", "ignore") + note + tail.decode("utf-8", "ignore")


def cut_json(value: Any, limit: int = OUTPUT_LIMIT) -> Any:
    """Return the value with long texts cut, or as one cut text when it is still too large."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return cut_text(value, limit)
    smaller = _cut_within(value, limit)
    written = json.dumps(smaller, ensure_ascii=False)
    return smaller if len(written.encode("utf-8", "replace")) <= 2 * limit else cut_text(written, limit)


def _cut_within(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return cut_text(value, limit)
    if isinstance(value, list):
        return [_cut_within(item, limit) for item in value]
    if isinstance(value, dict):
        return {key: _cut_within(item, limit) for key, item in value.items()}
    return value


class BoundedText:
    """Hold the head and tail, `limit` characters together, of a growing text."""

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self._limit = limit
        self._head = ""
        self._tail = ""
        self.size = 0

    def add(self, text: str) -> None:
        self.size += len(text)
        room = self._limit * 3 // 4 - len(self._head)
        self._head += text[:room] if room > 0 else ""
        self._tail = (self._tail + (text[room:] if room > 0 else text))[-(self._limit // 4) :]

    def read(self) -> str:
        """Return head and tail, with a note of the missing size between."""
        missing = self.size - len(self._head) - len(self._tail)
        note = f"\n[... {missing} characters left out ...]\n" if missing else ""
        return self._head + note + self._tail


def split_text(text: str, size: int = DELTA_LIMIT) -> list[str]:
    """Split the text into pieces of at most `size` characters; none for an empty text."""
    return [text[start : start + size] for start in range(0, len(text), size)]


class Redaction:
    """Replace known secret values in texts for logs, events and people, in whatever spelling SecretSearch finds."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._search = SecretSearch(secrets)

    def hide(self, text: str) -> str:
        """Return the text with HIDDEN in place of every secret value."""
        if not self._search:
            return text
        data = text.encode("utf-8", "surrogatepass")
        spans = self._search.spans(data)
        return _replaced(data, spans) if spans else text

    def hide_json(self, value: Any) -> Any:
        """Return the JSON value with the secrets in its texts and keys hidden; the same object when it has none."""
        texts = "\0".join(_texts(value)).encode("utf-8", "surrogatepass")  # one search is faster than one a text
        return self._hide_within(value) if self._search.is_in(texts) else value

    def _hide_within(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            items = [self._hide_within(item) for item in value]
            return value if all(map(is_, items, value)) else items
        if isinstance(value, dict):
            fields = {self.hide(key): self._hide_within(item) for key, item in value.items()}
            same = all(map(is_, fields, value)) and all(map(is_, fields.values(), value.values()))
            return value if same else fields
        return value

    def settled(self, text: str) -> str:
        """Return the text with its secrets hidden, without an end that could begin another one."""
        return HeldText(self).add(text)

    def split(self, text: str) -> tuple[str, str]:
        """Return the text up to an end that could begin a secret value, with its secrets hidden, and that end as it is.

        A value that is found at the very end stays with the end: the next text may continue a longer one.
        """
        if not self._search:
            return text, ""
        data = text.encode("utf-8", "surrogatepass")
        spans, begins = self._search.spans(data), self._search.beginning(data)
        begins = min([begins, *(start for start, end in spans if start < begins < end)])
        complete = _replaced(data[:begins], [span for span in spans if span[1] <= begins])
        return complete, data[begins:].decode("utf-8", "surrogatepass")


NOTHING_HIDDEN = Redaction([])


class HeldText:
    """Hide secrets in a growing text, also those that are split over its pieces.

    The end of the text is held back while it could begin a secret, at most MOST_HELD characters of it.
    """

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._held = ""

    def add(self, text: str) -> str:
        """Add a piece and return the text that may be shown now, empty for none."""
        if not text:
            return ""
        shown, self._held = self._redaction.split(self._held + text)
        return shown + self.end() if len(self._held) > MOST_HELD else shown

    def end(self) -> str:
        """Return the text that was held back: nothing follows."""
        held = self.peek()
        self._held = ""
        return held

    def peek(self) -> str:
        """Return the text that is held back, and go on holding it."""
        return self._redaction.hide(self._held)


def _texts(value: Any) -> list[str]:
    """Return all texts and keys of a JSON value."""
    texts, rest = [], [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, list):
            rest.extend(item)
        elif isinstance(item, dict):
            texts.extend(item)
            rest.extend(item.values())
    return texts


def _replaced(data: bytes, spans: list[SecretSpan]) -> str:
    """Return the text of the UTF-8 bytes, with HIDDEN in place of each span."""
    kept, at = [], 0
    for start, end in spans:
        kept.append(data[at:start])
        at = end
    kept.append(data[at:])
    return HIDDEN.encode().join(kept).decode("utf-8", "surrogatepass")
