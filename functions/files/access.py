"""Admit a reader to a session's files: the session must be theirs to see, and no policy may deny the path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from flask import g

from functions.files.auditing import note_access
from functions.http.auth import actor
from functions.runtime.process import api_process
from handlers.access.permissions import session_for
from handlers.files.policies import FileDenied, PathRules
from handlers.files.policy_changes import path_rules
from schema.sql import Conn
from schema.workspace_api import Root


@contextmanager
def admitted(session_id: UUID, root: Root, path: str = "", *, lists: bool = False) -> Iterator[Conn]:
    """Open a transaction for a reader of this path; `lists` when only the folder's items are shown.

    Raises NotFound for a session that the user may not see, and FileDenied. Both are told in the audit.
    """
    note_access(session_id=session_id, root=root)
    with api_process().transaction() as conn:
        session = session_for(conn, actor(), session_id)
        rules = path_rules(conn, actor(), app_id=session.app_id, root=root)
        _admit(rules, path, lists=lists)
        g.path_rules = rules
        yield conn


def admitted_rules() -> PathRules:
    """Return what the reader, who has been admitted, may read of the root."""
    rules: PathRules = g.path_rules
    return rules


def _admit(rules: PathRules, path: str, *, lists: bool) -> None:
    try:
        (rules.require_listing if lists else rules.require)(path)
    except FileDenied:
        note_access(allowed=False)
        raise
    note_access(allowed=True)
