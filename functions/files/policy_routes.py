"""Set, list and delete file policies, for admins."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.files.auditing import audit, note_access
from functions.http.auth import permission
from functions.http.openapi import conflicts
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import PageQuery, answer
from functions.runtime.process import api_process
from handlers.files.policies import FilePolicy
from handlers.files.policy_changes import NewPolicy, delete_file_policy, file_policies, set_file_policy
from schema.rows import Role
from schema.wire import Request, Text, Wire
from schema.workspace_api import Root

policies = APIBlueprint("file_policies", __name__, tag="Administration")
audit(policies, action="policies")


class FilePolicyBody(Request):
    """`pattern` is a path below the root and covers everything below it: `*` and `?` stand for letters of one name,
    `**` for any names. `appId`, `role`, `userId` and `root` narrow the policy to readers and a root. `reason` is told
    to whom it denies."""

    effect: Literal["allow", "deny"]
    pattern: Text = Field(min_length=1, max_length=500)
    root: Root | None = None
    app_id: UUID | None = None
    role: Role | None = None
    user_id: UUID | None = None
    reason: Text | None = Field(default=None, min_length=1, max_length=200)


class FilePolicyAnswer(Wire):
    """A policy. What it lacks of `appId`, `role`, `userId` and `root` stands for all of them."""

    policy_id: UUID
    effect: Literal["allow", "deny"]
    pattern: str
    root: Root | None = None
    app_id: UUID | None = None
    role: Role | None = None
    user_id: UUID | None = None
    reason: str | None = None
    created_at: datetime


class FilePoliciesAnswer(Wire):
    items: list[FilePolicyAnswer]
    next_cursor: str | None = None


@policies.get("/api/admin/file-policies")
@permission("file_policies:read")
@policies.input(PageQuery, location="query")
@policies.output(FilePoliciesAnswer)
def list_policies(query_data: PageQuery) -> Response:
    """List file policies, newest first"""
    note_access(allowed=True)
    before = read_page_cursor(query_data.cursor)
    with api_process().transaction() as conn:
        page = file_policies(conn, before=before, limit=query_data.limit)
    cursor = page_cursor(page[-1].created_at, page[-1].id) if len(page) == query_data.limit else None
    return answer(FilePoliciesAnswer(items=[_answer(policy) for policy in page], next_cursor=cursor))


@policies.post("/api/admin/file-policies")
@permission("file_policies:write")
@policies.input(FilePolicyBody)
@policies.output(FilePolicyAnswer, status_code=201)
@policies.doc(responses=conflicts("too_many_policies"))
def set_policy(json_data: FilePolicyBody) -> Response:
    """Set a file policy

    It replaces the one for the same readers, root and pattern. The most specific policy decides about a path: one for
    the user, then for the role, then for the app, then for the root, then the one with more letters in its pattern.
    Deny wins a tie. Without a policy a path may be read by whoever may see the session.
    """
    note_access(allowed=True, root=json_data.root, path=json_data.pattern)
    with api_process().transaction() as conn:
        policy = set_file_policy(conn, NewPolicy(**dict(json_data)))
    return answer(_answer(policy), 201)


@policies.delete("/api/admin/file-policies/<uuid:policy_id>")
@permission("file_policies:write")
@policies.output({}, status_code=204)
def delete_policy(policy_id: UUID) -> Response:
    """Delete a file policy"""
    note_access(allowed=True, root=None)
    with api_process().transaction() as conn:
        policy = delete_file_policy(conn, policy_id)
    note_access(root=policy.root, path=policy.pattern)
    return Response(status=204)


def _answer(policy: FilePolicy) -> FilePolicyAnswer:
    return FilePolicyAnswer(policy_id=policy.id, **vars(policy))
