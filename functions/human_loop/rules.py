"""List and edit approval rules, which answer agents in place of people: your own, those of apps and of everyone."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.openapi import conflicts
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import PageQuery, answer
from functions.runtime.process import api_process
from handlers.human_loop.approval_rules import add_rule, change_rule, remove_rule, rule_for, rules_seen_by
from schema.approval_rules import ApprovalRuleRow, ChangedRule, NewRule, RuleReport, RulesReport
from schema.wire import Request

rules = APIBlueprint("rules", __name__, tag="Human loop")


class RulesQuery(PageQuery):
    """With `appId`, list only rules of that app."""

    app_id: UUID | None = None


class VersionQuery(Request):
    version: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Default: the newest version.")


@rules.get("/api/human-loop/rules")
@permission("rules:read")
@rules.input(RulesQuery, location="query")
@rules.output(RulesReport)
def list_rules(query_data: RulesQuery) -> Response:
    """List the rules in force, newest first

    Your own rules and rules for everyone. Operators see all rules.
    """
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        visible = rules_seen_by(conn, actor(), app_id=query_data.app_id, before=before, limit=query_data.limit)
    last = visible[-1] if len(visible) == query_data.limit else None
    cursor = page_cursor(last.created_at, last.id) if last else None
    return answer(RulesReport(items=[_report(rule) for rule in visible], next_cursor=cursor))


@rules.post("/api/human-loop/rules")
@permission("rules:write")
@rules.input(NewRule)
@rules.output(RuleReport, status_code=201)
@rules.doc(responses=conflicts("too_many_rules"))
def create_rule(json_data: NewRule) -> Response:
    """Add a rule

    `userId: "me"` makes your own rule. Only operators write rules of apps, of other users and of everyone.
    """
    with api_process().transaction() as conn:
        rule = add_rule(conn, actor(), json_data)
    return answer(_report(rule), 201, Location=f"/api/human-loop/rules/{rule.id}")


@rules.get("/api/human-loop/rules/<uuid:rule_id>")
@permission("rules:read")
@rules.input(VersionQuery, location="query")
@rules.output(RuleReport)
def get_rule(rule_id: UUID, query_data: VersionQuery) -> Response:
    """Show a rule, also in a former version

    An event's `by` names the version that decided: `rule:<id>@<version>`.
    """
    with api_process().transaction() as conn:
        return answer(_report(rule_for(conn, actor(), rule_id, version=query_data.version)))


@rules.put("/api/human-loop/rules/<uuid:rule_id>")
@permission("rules:write")
@rules.input(ChangedRule)
@rules.output(RuleReport)
@rules.doc(responses=conflicts("stale_version"))
def put_rule(rule_id: UUID, json_data: ChangedRule) -> Response:
    """Replace a rule's text

    The new text becomes the next version. 409 `stale_version` carries the version in force when you named another
    version.
    """
    with api_process().transaction() as conn:
        return answer(_report(change_rule(conn, actor(), rule_id, json_data)))


@rules.delete("/api/human-loop/rules/<uuid:rule_id>")
@permission("rules:write")
@rules.input(VersionQuery, location="query")
@rules.output({}, status_code=204)
@rules.doc(responses=conflicts("stale_version"))
def delete_rule(rule_id: UUID, query_data: VersionQuery) -> Response:
    """Retire a rule

    With `version` only if that version is in force. A retired rule can still be looked up.
    """
    with api_process().transaction() as conn:
        remove_rule(conn, actor(), rule_id, version=query_data.version)
    return Response(status=204)


def _report(row: ApprovalRuleRow) -> RuleReport:
    return RuleReport(
        rule_id=row.id,
        version=row.version,
        app_id=row.app_id,
        user_id=row.user_id,
        effect=row.effect,
        tool_kind=row.tool_kind,
        path_pattern=row.path_pattern,
        command_pattern=row.command_pattern,
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
        retired_at=row.retired_at,
    )
