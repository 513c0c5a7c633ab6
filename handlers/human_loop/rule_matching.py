"""Choose the rule that decides a call: deny before ask before allow; an unclear call is asked.

A rule that denies or asks matches any part of the call: one path, or one part of a command line. A rule that allows
must cover all of the call: every path and the complete command, without shell operators.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from handlers.human_loop.patterns import is_too_long, path_matches, text_matches
from handlers.human_loop.tool_call import FILE_KINDS, MatchedCall
from schema.approval_rules import ApprovalRuleRow, RuleText

_OPERATORS = re.compile(r"[;&|`<>\n\r]|\$[({]")
_DIVIDERS = re.compile(r"[;&|`<>\n\r()]")


def deciding_rule(rules: Sequence[ApprovalRuleRow], call: MatchedCall) -> ApprovalRuleRow | None:
    """Return the rule that denies or allows the call; None when a person has to decide."""
    strict = [rule for rule in rules if rule.effect != "allow"]
    for rule in strict:
        if rule.effect == "deny" and _is_about(rule, call):
            return rule
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
    return (rule.path_pattern is None or _lies_in(call.paths | call.mentions, rule.path_pattern)) and (
        rule.command_pattern is None or _runs(call, rule.command_pattern)
    )


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
    return _OPERATORS.search(call.command) is None and text_matches(call.command, pattern)


def _lies_in(paths: frozenset[str], pattern: str) -> bool:
    """Return whether the pattern matches one of the paths or a folder above it."""
    return any(path_matches(path, f"{pattern}/**") for path in paths)


def _runs(call: MatchedCall, pattern: str) -> bool:
    if call.command is None or is_too_long(call.command):
        return False
    parts = {call.command, *(part.strip() for part in _DIVIDERS.split(call.command))}
    return any(text_matches(part, pattern) for part in parts if part)
