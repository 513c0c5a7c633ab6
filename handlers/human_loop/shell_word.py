"""Resolve one word of a command line as every shell does: quotes and escapes go, and what is unknown is a hole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from tree_sitter import Node


class Hole(Enum):
    """Text that a shell fills in: characters of a single name (a glob), or anything, even several words or none. The
    values stand for them in texts; no command line that is read holds these characters."""

    NAME = "\x00"
    ANYTHING = "\x01"


WordPiece = str | Hole
_ESCAPE = re.compile(r"\\(?s:(.))")
_GLOBS = frozenset("*?[]")
_EXPANSIONS = frozenset({"simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"})


@dataclass(frozen=True)
class Word:
    """Texts and holes in their order. `may_vanish`: the shell may make no word of it, or several. `is_home`: the first
    hole is the user's home."""

    pieces: tuple[WordPiece, ...]
    may_vanish: bool = False
    is_home: bool = False

    @property
    def text(self) -> str | None:
        """The whole word; None with a hole in it."""
        if any(isinstance(piece, Hole) for piece in self.pieces):
            return None
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def letters(self) -> str:
        """The word as one text, with the signs of the holes in it."""
        return "".join(piece.value if isinstance(piece, Hole) else piece for piece in self.pieces)

    @property
    def path(self) -> str:
        """The word as a path: a tilde begins only a home."""
        if self.is_home:
            return f"~{self.letters[1:]}"
        return f"./{self.letters}" if self.letters.startswith("~") else self.letters


UNKNOWN = Word((Hole.ANYTHING,), may_vanish=True)


def word_of(node: Node, source: bytes) -> Word:
    """Resolve a word of the grammar's tree; UNKNOWN for a kind of word that shells resolve differently."""
    if node.type == "concatenation" and node.children[0].type in ("word", "number"):
        pieces = _pieces_in_a_row(node, source)
    else:
        pieces = _pieces(node, source)
    if pieces is None:
        return UNKNOWN
    text = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
    return _settled(pieces, text)


def _settled(pieces: list[WordPiece], written: str) -> Word:
    """Return the word. Braces and another user's home are not known."""
    if _has_braces(written) or written.startswith(("=", "#")) or re.match(r"~[^/]", written):
        return UNKNOWN
    has_letters = any(isinstance(piece, str) and piece for piece in pieces)
    is_home = written.startswith("~")
    if is_home:
        pieces = [Hole.NAME, *_without_first_sign(pieces)]
    return Word(tuple(pieces), may_vanish=Hole.ANYTHING in pieces and not has_letters, is_home=is_home)


def _without_first_sign(pieces: list[WordPiece]) -> list[WordPiece]:
    first, *others = pieces
    return [first[1:], *others] if isinstance(first, str) else others


def _has_braces(written: str) -> bool:
    opened = written.find("{")
    return opened >= 0 and any(sign in written[opened:] for sign in (",", "..")) and "}" in written[opened:]


def _pieces_in_a_row(node: Node, source: bytes) -> list[WordPiece] | None:
    found: list[WordPiece] = []
    at = node.start_byte
    for child in node.children:
        pieces = _pieces(child, source)
        if pieces is None or child.start_byte != at:
            return None
        found += pieces
        at = child.end_byte
    return found


def _pieces(node: Node, source: bytes) -> list[WordPiece] | None:
    written = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
    match node.type:
        case "word" | "number" | "variable_name":
            return _unquoted(written)
        case "raw_string":
            return [written[1:-1]]
        case "string":
            return _double_quoted(node, source)
        case "command_name":
            return _pieces(node.children[0], source) if node.child_count == 1 else None
        case "concatenation":
            return _pieces_in_a_row(node, source)
        case kind if kind in _EXPANSIONS:
            return [Hole.ANYTHING]
        case _:
            return None


def _unquoted(written: str) -> list[WordPiece] | None:
    if "**" in written:  # some shells let it stand for folders
        return None
    pieces: list[WordPiece] = []
    at = 0
    while at < len(written):
        sign = written[at]
        if sign == "\\":
            escaped = written[at + 1 : at + 2]
            pieces += [] if escaped == "\n" else [escaped]
            at += 1
        elif sign in "'\"`$":
            return None
        else:
            pieces.append(Hole.NAME if sign in _GLOBS else sign)
        at += 1
    return _with_whole_globs(pieces)


def _with_whole_globs(pieces: list[WordPiece]) -> list[WordPiece]:
    """Let everything between the first and the last sign of a glob be part of its hole, but for slashes."""
    holes = [at for at, piece in enumerate(pieces) if isinstance(piece, Hole)]
    if not holes:
        return ["".join(piece for piece in pieces if isinstance(piece, str))]
    first, last = holes[0], holes[-1]
    found: list[WordPiece] = list(pieces[:first])
    for piece in pieces[first : last + 1]:
        if piece == "/" or not found or found[-1] is not Hole.NAME:
            found.append("/" if piece == "/" else Hole.NAME)
    return found + pieces[last + 1 :]


def _double_quoted(node: Node, source: bytes) -> list[WordPiece]:
    """Resolve text between double quotes: a backslash escapes four signs, and joins lines."""
    found: list[WordPiece] = []
    at = node.start_byte + 1
    for child in [each for each in node.children if each.type in _EXPANSIONS]:
        found += [_double_quoted_text(source[at : child.start_byte]), Hole.ANYTHING]
        at = child.end_byte
    return [*found, _double_quoted_text(source[at : node.end_byte - 1])]


def _double_quoted_text(written: bytes) -> str:
    def resolved(escape: re.Match[str]) -> str:
        sign = escape[1]
        return "" if sign == "\n" else sign if sign in '$`"\\' else escape[0]

    return _ESCAPE.sub(resolved, written.decode("utf-8", "replace"))
