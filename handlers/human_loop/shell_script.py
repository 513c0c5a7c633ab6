"""Parse a command line into a shell's simple commands and their words, without running anything.

The grammar finds where commands and words begin and end. What it does not know for certain makes a script unclear.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from handlers.human_loop.shell_word import UNKNOWN, Word, word_of

LONGEST_SCRIPT = 64 * 1024
"""Bytes of UTF-8."""
DEEPEST = 60
"""Levels of the grammar's tree that are read."""
MOST_SECONDS = 0.3
"""A text that the grammar reads for longer is unclear. Only text without sense takes so long."""

MOST_NODES = 10_000
"""Parts of the grammar's tree that are read."""

_COMMANDS = frozenset({"command", "declaration_command", "unset_command"})
_REDIRECTS = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})
_KNOWN = (
    _COMMANDS
    | _REDIRECTS
    | {"program", "list", "pipeline", "subshell", "compound_statement", "redirected_statement", "if_statement"}
    | {"elif_clause", "else_clause", "while_statement", "for_statement", "do_group", "case_statement", "case_item"}
    | {"negated_command", "command_substitution", "process_substitution", "function_definition", "comment"}
    | {"command_name", "word", "number", "string", "string_content", "raw_string", "concatenation", "variable_name"}
    | {"special_variable_name", "simple_expansion", "variable_assignment", "variable_assignments", "extglob_pattern"}
    | {"ansi_c_string", "translated_string", "brace_expression", "file_descriptor"}
    | {"heredoc_start", "heredoc_body", "heredoc_content", "heredoc_end"}
)
_STRANGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_BLANK = re.compile(rb"(?:\\\n)*[ \t](?:[ \t]|\\\n)*")
_BEFORE_A_COMMENT = b" \t\n;&|()"
_PLAIN_EXPANSION = re.compile(rb"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_DESCRIPTORS = frozenset({">&", "<&", ">&-", "<&-"})


@dataclass(frozen=True)
class SimpleCommand:
    """The words of one command, assignments before it included, and its text as written. `targets` are the files of
    its redirections; `is_redirected`: it reads or writes by one, /dev/null aside."""

    words: tuple[Word, ...]
    text: str
    targets: tuple[Word, ...] = ()
    is_redirected: bool = False

    @cached_property
    def certain_texts(self) -> frozenset[str]:
        """The forms in which people write the command: as it stands, as words, and with quotes where needed."""
        texts = [word.text for word in self.words]
        words = [text for text in texts if text is not None]
        is_certain = len(words) == len(texts)
        return frozenset({self.text, " ".join(words), shlex.join(words)}) if is_certain else frozenset({self.text})


@dataclass(frozen=True)
class Script:
    """All simple commands, those inside of others too. `is_clear`: nothing else runs."""

    commands: tuple[SimpleCommand, ...] = ()
    is_clear: bool = True

    @property
    def size(self) -> int:
        """Return the characters of all words."""
        return sum(len(word.letters) + 1 for command in self.commands for word in command.words)


NOTHING = Script()


def parse_script(text: str) -> Script:
    """Parse the text. Never raises; a text that is too long, too deep or not understood is unclear."""
    source = text.encode("utf-8", "replace")
    root = None if len(source) > LONGEST_SCRIPT or _STRANGE.search(text) else _tree(source)
    if root is None:
        return Script(is_clear=False)
    reader = _Reader(source, is_clear=not root.has_error)
    reader.read(root)
    return Script(tuple(reader.commands), reader.is_clear)


@lru_cache(maxsize=1)
def _language() -> Language:
    return Language(tree_sitter_bash.language())


def _tree(source: bytes) -> Node | None:
    """Return the root of the tree; None when the grammar takes too long."""
    ends_at = time.monotonic() + MOST_SECONDS
    try:
        tree = Parser(_language()).parse(
            lambda offset, _: source[offset : offset + 4096],
            progress_callback=lambda _offset, _has_error: time.monotonic() > ends_at,
        )
    except ValueError:
        return None
    return tree.root_node


@dataclass
class _Reader:
    source: bytes
    is_clear: bool
    commands: list[SimpleCommand] = field(default_factory=list)

    def read(self, root: Node) -> None:
        """Collect the commands, in the order of the text. Depth is no danger: nothing recurses."""
        rest = [(root, 0, "")]
        for _ in range(MOST_NODES):
            if not rest:
                return
            node, depth, within = rest.pop()
            self.is_clear = self.is_clear and depth <= DEEPEST and self._is_known(node)
            if depth > DEEPEST:
                continue
            if node.type == "redirected_statement":
                self._add_redirected(node)
            elif node.type in _COMMANDS and within != "redirected_statement":
                self._add(node, node.children)
            elif node.type == "variable_assignment" and within not in _COMMANDS:
                self._add(node, [node])
            rest += [(child, depth + 1, node.type) for child in reversed(node.children)]
        self.is_clear = False

    def _is_known(self, node: Node) -> bool:
        if node.type == "comment":
            return node.start_byte == 0 or self.source[node.start_byte - 1] in _BEFORE_A_COMMENT
        if node.type == "expansion":
            return _PLAIN_EXPANSION.fullmatch(self._written(node)) is not None
        return not node.is_missing and (not node.is_named or node.type in _KNOWN)

    def _add_redirected(self, node: Node) -> None:
        """Add a command with its redirections, or those of a group of commands as one without words."""
        body, *redirects = node.children
        if body.type in _COMMANDS:
            redirects = [*body.children, *redirects]
        elif body.type in _REDIRECTS:
            redirects = node.children
        self._add(node, redirects)
        if body.type not in _COMMANDS | _REDIRECTS and self.commands[-1].words:
            self.is_clear = False  # the words belong to the last command of a list

    def _add(self, node: Node, parts: list[Node]) -> None:
        words: list[Word] = []
        targets: list[Word] = []
        is_redirected = False
        self.is_clear = self.is_clear and all(map(self._are_apart, parts, parts[1:]))
        for part in parts:
            if part.type not in _REDIRECTS:
                words.append(self._word(part))
                continue
            named, further = self._redirection(part)
            targets += named
            words += further
            is_redirected = is_redirected or part.type != "file_redirect" or bool(named)
        self.commands.append(SimpleCommand(tuple(words), self._written(node).decode(), tuple(targets), is_redirected))

    def _are_apart(self, one: Node, other: Node) -> bool:
        """Return whether a blank lies between, and nothing else: a joined line alone would join two words."""
        if one.end_byte == other.start_byte:
            return bool({one.type, other.type} & _REDIRECTS)
        return _BLANK.fullmatch(self.source, one.end_byte, other.start_byte) is not None

    def _redirection(self, node: Node) -> tuple[list[Word], list[Word]]:
        """Return the file that is named, and the command's words that the grammar takes for more files."""
        if node.type == "heredoc_redirect":
            return [], [UNKNOWN]
        signs = {child.type for child in node.children if not child.is_named}
        parts = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
        self.is_clear = self.is_clear and all(map(self._are_apart, parts, parts[1:]))
        named = [self._word(part) for part in parts]
        if node.type == "herestring_redirect":
            return [], named[1:]
        first = named[0].text if named else None
        if first == "/dev/null" or (signs & _DESCRIPTORS and (first is None or first.isdigit())):
            return [], named[1:]
        return named[:1], named[1:]

    def _word(self, node: Node) -> Word:
        if node.type == "variable_assignment":
            return self._assignment(node)
        if not node.is_named:  # `export`, `declare`, ...
            return Word((self._written(node).decode(),))
        return word_of(node, self.source)

    def _assignment(self, node: Node) -> Word:
        name, sign, *value = node.children
        if name.type != "variable_name" or len(value) > 1:
            self.is_clear = False
            return UNKNOWN
        begin = f"{self._written(name).decode()}{self._written(sign).decode()}"
        given = word_of(value[0], self.source).pieces if value else ()
        return Word((begin, *given))

    def _written(self, node: Node) -> bytes:
        return self.source[node.start_byte : node.end_byte]
