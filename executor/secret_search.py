"""Find known secret values in bytes: as they are, in base64, URL-encoded, or escaped in JSON.

Line ends inside a value do not matter, because programs wrap long lines. RE2 searches for all spellings at once, in
time linear in the bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from urllib.parse import quote, quote_plus, urlsplit

import re2

from executor.secret_beginnings import SecretBeginnings

SHORTEST = 8
"""Characters of the shortest value that is searched for. A shorter one would stand in ordinary text, too."""
_MEMORY = 64 << 20
"""Bytes that the search program may use. Beyond them RE2 runs without a cache of states, still in linear time."""
_PIECE = 1 << 18
_QUICK_FROM = 1 << 15
"""Bytes from which Hyperscan's speed outweighs its calls."""
_LINE_END = re.compile(rb"[\r\n]")

_FEWEST_CHARACTERS = 6
"""Different characters of a value that may be a secret. Keys have more; fillers such as `xxxxxxxx` do not."""

SecretSpan = tuple[int, int]
"""The first byte of a found value, and the byte after its last."""


def is_plausible(value: str | None) -> bool:
    """Tell whether a value of which nothing is said may be a secret: not a web address that holds no login, query or
    fragment, and not a filler of few characters."""
    return value is None or (len(set(value)) >= _FEWEST_CHARACTERS and not _is_plain_address(value))


def _is_plain_address(value: str) -> bool:
    try:
        address = urlsplit(value)
    except ValueError:
        return False
    is_web = address.scheme in ("http", "https") and bool(address.netloc)
    return is_web and not ("@" in address.netloc or address.query or address.fragment)


class SecretSearch:
    """Search for the spellings of secret values. Values shorter than SHORTEST characters are left out."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = {value for value in secrets if len(value) >= SHORTEST}
        spellings = {_without_line_ends(spelling) for value in values for spelling in _spellings(value)}
        self._spellings = sorted(spellings)
        self._first_bytes = frozenset(spelling[0] for spelling in spellings)
        self.longest = max(map(len, spellings), default=0)
        """Bytes of the longest spelling."""

        self.fingerprint = hashlib.sha256(json.dumps(sorted(values)).encode()).hexdigest() if values else ""
        """SHA-256 of the values, empty for none."""

    def __bool__(self) -> bool:
        """Tell whether there is anything to search for."""
        return bool(self._spellings)

    def is_in(self, data: bytes) -> bool:
        """Tell whether the bytes hold a secret value. Search by pieces, which stay in the processor's cache."""
        if not self._spellings:
            return False
        view, end = memoryview(data), b""
        for start in range(0, len(data), _PIECE):
            compact = _without_line_ends(b"".join((end, view[start : start + _PIECE])))
            if self._may_hold(compact) and self._program.search(compact) is not None:
                return True
            end = compact[-self.longest :]  # a value may go on in the next piece
        return False

    def _may_hold(self, compact: bytes) -> bool:
        """Tell whether a longer text is worth the slower search."""
        return len(compact) < _QUICK_FROM or self._beginnings.may_be_in(compact)

    def spans(self, data: bytes) -> list[SecretSpan]:
        """Return where secret values stand, in order and without overlap."""
        if not self._spellings:
            return []
        compact = _without_line_ends(data)
        found = [match.span() for match in self._program.finditer(compact)]
        return found if not found or len(compact) == len(data) else _with_line_ends(found, data)

    def beginning(self, data: bytes) -> int:
        """Return where the end of the bytes could begin a secret value; their length when it cannot.

        Only the last bytes, twice as many as the longest spelling has, are looked at. So line ends without end cost
        no more than other bytes.
        """
        skipped = max(0, len(data) - 2 * self.longest)
        tail = data[skipped:]
        compact = _without_line_ends(tail)
        for start in range(max(0, len(compact) - self.longest + 1), len(compact)):
            if compact[start] in self._first_bytes and self._may_begin(compact[start:]):
                is_whole = len(compact) == len(tail)
                return skipped + (start if is_whole else _with_line_ends([(start, start + 1)], tail)[0][0])
        return len(data)

    def _may_begin(self, end: bytes) -> bool:
        """Tell whether a longer spelling begins with these bytes. It would follow them in the order."""
        number = bisect_right(self._spellings, end)
        return number < len(self._spellings) and self._spellings[number].startswith(end)

    @cached_property
    def _beginnings(self) -> SecretBeginnings:
        return SecretBeginnings(self._spellings)

    @cached_property
    def _program(self) -> re2._Regexp:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.longest_match = True
        options.max_mem = _MEMORY
        return re2.compile(b"|".join(map(re2.escape, self._spellings)), options)


def _spellings(value: str) -> Iterator[bytes]:
    """Yield the value in each spelling."""
    raw = value.encode("utf-8", "surrogatepass")
    yield raw
    yield from _in_base64(raw)
    for quoted in (quote(raw, safe=""), quote(raw), quote(raw, safe="!'()*"), quote_plus(raw)):
        yield quoted.encode()
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted).encode()
    for octet in ("%%%02x", "%%%02X"):
        yield "".join(octet % byte for byte in raw).encode()
    for escaped in (_in_json(value, ascii_only=True), _in_json(value, ascii_only=False)):
        for text in (escaped, escaped.replace("/", "\\/"), _in_json(escaped, ascii_only=True)):
            yield text.encode("utf-8", "surrogatepass")


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield the characters that the value alone decides, for each place where it can begin in encoded bytes."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw + bytes(2))
        inner = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _in_json(text: str, *, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _without_line_ends(data: bytes) -> bytes:
    return data.replace(b"\n", b"").replace(b"\r", b"")


def _with_line_ends(spans: list[SecretSpan], data: bytes) -> list[SecretSpan]:
    """Return the spans as positions in `data`, when they are positions in it without its line ends."""
    before = [match.start() - number for number, match in enumerate(_LINE_END.finditer(data))]

    def place(position: int) -> int:
        return position + bisect_right(before, position)

    return [(place(start), place(end - 1) + 1) for start, end in spans]
