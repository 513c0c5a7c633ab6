"""Choose the rule that decides a call: deny before ask before allow; an unclear call is asked.

A rule that denies or asks matches any part of the call: one path, or one command of a command line. What might be
such a part is asked. A rule that allows must cover all of the call: every path and every command, for certain.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from handlers.human_loop.possible_text import might_run, must_match
from handlers.human_loop.shell_script import SimpleCommand
from handlers.human_loop.shell_word import Word
from handlers.human_loop.tool_call import FILE_KINDS, MatchedCall
from handlers.human_loop.tool_paths import might_lie_in
from handlers.patterns import is_too_long, path_matches, text_matches
from schema.approval_rules import ApprovalRuleRow, RuleText

_HOLES = re.compile(r"[\x00\x01]")
MOST_CHARACTERS = 2_000_000
"""Characters of commands times rules that are compared; more is asked."""


def deciding_rule(rules: Sequence[ApprovalRuleRow], call: MatchedCall) -> ApprovalRuleRow | None:
    """Return the rule that denies or allows the call; None when a person has to decide."""
    strict = [rule for rule in rules if rule.effect != "allow"]
    for rule in strict:
        if rule.effect == "deny" and _is_about(rule, call):
            return rule
    if call.runs.size * len(strict) > MOST_CHARACTERS:
        return None
    if any(_may_be_about(rule, call) for rule in strict):
        return None
    return next((rule for rule in rules if rule.effect == "allow" and covers(rule, call)), None)


def _is_about(rule: ApprovalRuleRow, call: MatchedCall) -> bool:
    return (
        rule.tool_kind in (None, call.kind)
        and (rule.path_pattern is None or _lies_in(call.paths, rule.path_pattern))
        and (rule.command_pattern is None or _runs(call, rule.command_pattern))
    )


def _may_be_about(rule: ApprovalRuleRow, call: MatchedCall) -> bool:
    """Match what the call might do: a command may touch the files that it names, and a call may hide effects."""
    if call.kind is not None and rule.tool_kind not in (None, call.kind):
        return False
    if not call.is_whole:
        return True
    return (rule.path_pattern is None or _may_touch(call, rule.path_pattern)) and (
        rule.command_pattern is None or _may_run(call, rule.command_pattern)
    )


def _may_touch(call: MatchedCall, pattern: str) -> bool:
    if call.command is not None and not (call.runs.is_clear and call.names_no_more):
        return True
    return any(might_lie_in(path, pattern) for path in call.paths | call.mentions)


def _may_run(call: MatchedCall, pattern: str) -> bool:
    if call.command is None:
        return False
    if not call.runs.is_clear:
        return True
    return _runs(call, pattern) or any(might_run(command.words, pattern) for command in call.runs.commands)


def covers(rule: ApprovalRuleRow | RuleText, call: MatchedCall) -> bool:
    """Return whether a rule that allows covers all of the call."""
    return (
        rule.tool_kind in (None, call.kind)
        and (rule.path_pattern is None or _covers_paths(rule, call))
        and (rule.command_pattern is None or _covers_command(rule.command_pattern, call))
    )


def _covers_paths(rule: ApprovalRuleRow | RuleText, call: MatchedCall) -> bool:
    """Return whether the rule allows all paths. Paths do not limit a command or unknown tool: the rule must name it."""
    is_of_files = call.command is None and (rule.tool_kind is not None or call.kind in FILE_KINDS)
    if rule.command_pattern is None and not is_of_files:
        return False
    pattern = rule.path_pattern or ""
    return call.is_whole and bool(call.paths) and all(path_matches(path, pattern) for path in call.paths)


def _covers_command(pattern: str, call: MatchedCall) -> bool:
    if call.command is None or not (call.is_whole and call.is_only_command):
        return False
    if call.command == pattern:
        return True
    commands = call.script.commands
    return call.script.is_clear and bool(commands) and all(_covers_one(pattern, command) for command in commands)


def _covers_one(pattern: str, command: SimpleCommand) -> bool:
    """Return whether the pattern covers the command's words whatever a shell fills in, or its very text."""
    if command.is_redirected or not command.words:
        return False
    texts = [word.text for word in command.words]
    if None not in texts and text_matches(command.text, pattern):
        return True
    return must_match(_as_text(command.words), pattern)


def _as_text(words: Sequence[Word]) -> str:
    """Return the words as one text, quoted where a shell needs it. A word that may vanish has no spaces around it."""
    found = ""
    is_joined = True
    for word in words:
        is_joined = is_joined or word.may_vanish
        needs_none = shlex.quote(_HOLES.sub("x", word.letters)) == _HOLES.sub("x", word.letters)
        found += ("" if is_joined else " ") + (word.letters if needs_none else shlex.quote(word.letters))
        is_joined = word.may_vanish
    return found


def _lies_in(paths: frozenset[str], pattern: str) -> bool:
    """Return whether the pattern matches one of the paths or a folder above it."""
    return any(path_matches(path, f"{pattern}/**") for path in paths)


def _runs(call: MatchedCall, pattern: str) -> bool:
    if call.command is None or is_too_long(call.command):
        return False
    return text_matches(call.command, pattern) or any(
        text_matches(text, pattern) for command in call.runs.commands for text in command.certain_texts
    )
