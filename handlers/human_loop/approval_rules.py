"""Store approval rules and decide requests by them. Each change makes a new version, so `rule:<id>@<version>` in the
log always names the text that was in force."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Literal, NoReturn
from uuid import UUID

from handlers.access.permissions import Actor
from handlers.apps.apps import app_by_id
from handlers.enqueue import defer_delivery
from handlers.event_log import NewEvent, run_event
from handlers.human_loop.rule_matching import deciding_rule
from handlers.human_loop.tool_call import read_call
from schema.approval_rules import ApprovalRuleRow, ChangedRule, NewRule, RuleText
from schema.errors import Conflict, Forbidden, Invalid, NotFound
from schema.events import HumanRequested
from schema.executor_api import Answer
from schema.rows import RunRow, UserRow
from schema.sql import Conn, execute, fetch_all, fetch_one, fetch_the, fetch_value, jsonb
from schema.wire import Json

MOST_RULES_OF_A_USER = 100
MOST_RULES_OF_AN_APP = 200
MOST_JUDGED = 100
"""Requests of one callback that rules judge. People decide the others."""


def add_rule(conn: Conn, actor: Actor, wanted: NewRule) -> ApprovalRuleRow:
    """Add a rule. Operators write rules of apps, others and everyone, users their own. Raises Forbidden, NotFound, and
    Invalid `rule_for_everything`."""
    user_id = actor.user_id if wanted.user_id == "me" else wanted.user_id
    _refuse_unless_own(actor, user_id)
    _refuse_everything(wanted, is_for_all=user_id is None and wanted.app_id is None)
    if wanted.app_id is not None:
        app_by_id(conn, wanted.app_id)
    if user_id is None:
        _refuse_one_more_of_nobody(conn, wanted.app_id)
    else:
        _refuse_one_more(conn, user_id)
    return fetch_the(
        conn,
        "insert_approval_rule",
        ApprovalRuleRow,
        app_id=wanted.app_id,
        user_id=user_id,
        created_by=actor.user_id,
        **_columns(wanted),
    )


def change_rule(conn: Conn, actor: Actor, rule_id: UUID, changed: ChangedRule) -> ApprovalRuleRow:
    """Store the next version. Raises NotFound, Forbidden, Invalid `rule_for_everything`, and Conflict `stale_version`
    with the version in force."""
    before = rule_for(conn, actor, rule_id)
    _refuse_unless_own(actor, before.user_id)
    _refuse_everything(changed, is_for_all=before.user_id is None and before.app_id is None)
    rule = fetch_one(
        conn,
        "replace_approval_rule",
        ApprovalRuleRow,
        rule_id=rule_id,
        version=changed.version,
        created_by=actor.user_id,
        **_columns(changed),
    )
    if rule is None:
        _refuse_stale(conn, actor, rule_id)
    return rule


def remove_rule(conn: Conn, actor: Actor, rule_id: UUID, *, version: int | None) -> None:
    """Retire a rule, so that it decides nothing any more. Raises as change_rule."""
    _refuse_unless_own(actor, rule_for(conn, actor, rule_id).user_id)
    if not execute(conn, "retire_approval_rule", rule_id=rule_id, version=version):
        _refuse_stale(conn, actor, rule_id)


def rules_seen_by(
    conn: Conn, actor: Actor, *, app_id: UUID | None, before: tuple[str, UUID] | None, limit: int
) -> list[ApprovalRuleRow]:
    """Return rules in force, newest first: all for operators, for others their own and those for everyone."""
    at, last_id = before or (None, None)
    return fetch_all(
        conn,
        "approval_rules_seen",
        ApprovalRuleRow,
        all=actor.role != "member",
        user_id=actor.user_id,
        app_id=app_id,
        before_at=at,
        before_id=last_id,
        limit=limit,
    )


def rule_for(conn: Conn, actor: Actor, rule_id: UUID, *, version: int | None = None) -> ApprovalRuleRow:
    """Return this version of the rule, or the newest; retired versions too. Raises NotFound."""
    rule = fetch_one(conn, "approval_rule", ApprovalRuleRow, rule_id=rule_id, version=version)
    if rule is None or (actor.role == "member" and rule.user_id not in (None, actor.user_id)):
        raise NotFound("There is no such rule.", code="unknown_rule")
    return rule


def deciding_rules(conn: Conn, run: RunRow, calls: Mapping[UUID, Json]) -> dict[UUID, ApprovalRuleRow]:
    """Return the rules that decide these tool calls, by the ids of their requests; calls for a person are left out.

    Call it before the session is locked, since agents write the texts. Judges at most MOST_JUDGED calls.
    """
    if not calls:
        return {}
    rules = fetch_all(conn, "approval_rules_of_run", ApprovalRuleRow, app_id=run.app_id, user_id=run.user_id)
    judged = islice(calls.items(), MOST_JUDGED) if rules else ()
    decided = {request_id: deciding_rule(rules, read_call(call)) for request_id, call in judged}
    return {request_id: rule for request_id, rule in decided.items() if rule is not None}


def some_rule_restricts(conn: Conn, run: RunRow) -> bool:
    """Return whether a rule that denies or asks may concern the run."""
    return bool(fetch_value(conn, "some_rule_restricts", app_id=run.app_id, user_id=run.user_id))


def decide_by_rule(conn: Conn, run: RunRow, request: HumanRequested, rule: ApprovalRuleRow | None) -> list[NewEvent]:
    """Decide a request that was just stored by its rule: enqueue the answer's delivery and return its event. Return
    nothing when a person has to decide."""
    if request.kind != "permission" or rule is None or not _can_be_told(rule, request):
        return []
    answer = _answer(rule, request)
    execute(conn, "answer_human_request", request_id=request.request_id, answer=jsonb(answer), decided_by=rule.author)
    defer_delivery(conn, request.request_id)
    return [run_event(run, "human_loop.resolved", {**answer, "by": rule.author}, author=rule.author)]


def _answer(rule: ApprovalRuleRow, request: HumanRequested) -> Json:
    decision: Literal["allow", "deny"] = "allow" if rule.effect == "allow" else "deny"
    reason = rule.note if decision == "deny" else None
    return Answer(request_id=request.request_id, decision=decision, reason=reason, by="rule").to_json()


def _can_be_told(rule: ApprovalRuleRow, request: HumanRequested) -> bool:
    """Return whether the agent can receive the rule's effect. A rule allows one call, never the agent for good."""
    return rule.effect == "deny" or any(option.kind == "allow_once" for option in request.options or [])


def _refuse_unless_own(actor: Actor, user_id: UUID | None) -> None:
    if actor.role == "member" and user_id != actor.user_id:
        raise Forbidden("You may write your own rules; those of apps and of everyone are the operators'.")


def _refuse_everything(text: RuleText, *, is_for_all: bool) -> None:
    if is_for_all and not (text.has_pattern or text.everything):
        raise Invalid(
            "A rule for all runs needs a path or command pattern, or `everything: true`.", code="rule_for_everything"
        )


def _refuse_one_more(conn: Conn, user_id: UUID) -> None:
    if fetch_one(conn, "user_by_id", UserRow, user_id=user_id) is None:
        raise NotFound("There is no such user.", code="unknown_user")
    if fetch_value(conn, "approval_rules_of_user", user_id=user_id) >= MOST_RULES_OF_A_USER:
        raise Conflict(f"A user has at most {MOST_RULES_OF_A_USER} rules.", code="too_many_rules")


def _refuse_one_more_of_nobody(conn: Conn, app_id: UUID | None) -> None:
    if fetch_value(conn, "approval_rules_of_nobody", app_id=app_id) >= MOST_RULES_OF_AN_APP:
        raise Conflict(f"An app, and everyone, has at most {MOST_RULES_OF_AN_APP} rules.", code="too_many_rules")


def _refuse_stale(conn: Conn, actor: Actor, rule_id: UUID) -> NoReturn:
    now = rule_for(conn, actor, rule_id)
    if now.retired_at is not None:
        raise NotFound("This rule is not in force any more.", code="unknown_rule")
    raise Conflict("The rule was changed meanwhile: look at it again.", code="stale_version", version=now.version)


def _columns(text: RuleText) -> dict[str, object]:
    return {
        "effect": text.effect,
        "tool_kind": text.tool_kind,
        "path_pattern": text.path_pattern,
        "command_pattern": text.command_pattern,
        "note": text.note,
    }
