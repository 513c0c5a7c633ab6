"""Write every call about files to the audit, before its answer is sent; without the row there is no answer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

from flask import Blueprint, Response, g, request

from functions.files.schemas import MOST_PATH
from functions.runtime.process import ApiProcess, api_process
from handlers.access.permissions import Actor
from handlers.files.audit import FileAccess, record_file_access

MOST_REASON = 100


def audit(blueprint: Blueprint, *, action: str | None = None) -> None:
    """Audit all calls of the blueprint, also those that are refused before their view.

    Their `action` is the last name of their path, unless it is told here."""
    blueprint.after_request(partial(_write, action=action))


def note_access(**known: object) -> None:
    """Add what the view has learnt about this call: fields of FileAccess."""
    g.file_access = replace(this_access(), **known)  # type: ignore[arg-type]


def this_access() -> FileAccess:
    """The facts about this call so far, at first from its query."""
    found: FileAccess | None = g.get("file_access")
    if found is not None:
        return found
    actor: Actor | None = g.get("actor")
    path = request.args.get("path")
    return FileAccess(
        action=request.path.rpartition("/")[2][:40],
        user_id=actor.user_id if actor else None,
        session_id=_id(request.args.get("sessionId")),
        snapshot_id=_id(request.args.get("snapshot")),
        root=_storable(request.args.get("root", "workspace"))[:40],
        path=None if path is None else _storable(path)[:MOST_PATH],
    )


def record_broken_answer(process: ApiProcess, access: FileAccess, *, sent: int, reason: str) -> None:
    """Add a row for an answer that broke off after so many bytes."""
    with process.transaction() as conn:
        record_file_access(conn, replace(access, bytes=sent, reason=reason[:MOST_REASON]))


def _write(response: Response, *, action: str | None) -> Response:
    access = this_access() if action is None else replace(this_access(), action=action)
    if response.status_code >= 400:
        problem = response.get_json(silent=True) if response.is_json else None
        code = problem.get("code") if isinstance(problem, dict) else None
        access = replace(access, reason=str(code or response.status_code)[:MOST_REASON], bytes=None, files=None)
    with api_process().transaction() as conn:
        record_file_access(conn, access)
    return response


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL, and UTF-8 no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
