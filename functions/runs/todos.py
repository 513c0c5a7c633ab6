"""Show agents' todos: a session's present lists, the lists that a run left, and a run's changes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from functions.http.auth import actor, permission
from functions.http.schemas import answer
from functions.runs.schemas import TodoChangesQuery, TodoHistoryQuery
from functions.runtime.process import api_process
from handlers.access.permissions import session_for
from handlers.runs.read import run_for
from handlers.runs.todos import (
    TodoChange,
    TodoGroup,
    TodoRow,
    todo_changes,
    todo_history,
    todos_of_run,
    todos_of_session,
)
from schema.row_pages import RowPage
from schema.wire import Wire

todos = APIBlueprint("todos", __name__, tag="Todos")


class TodoAnswer(Wire):
    """A todo item. `runId` is the run that changed it last, at `updatedAt`."""

    id: str
    content: str
    status: str
    priority: str | None = None
    run_id: UUID
    updated_at: datetime


class TodoGroupAnswer(Wire):
    """The list of one provider's agents. `runId` is the run that last changed one of its items."""

    group_id: str
    title: str | None = None
    provider: str
    run_id: UUID
    updated_at: datetime
    items: list[TodoAnswer]


class TodosAnswer(Wire):
    groups: list[TodoGroupAnswer]


class TodoChangeAnswer(Wire):
    """A change of an item: of its status, or of its text (`from` and `to` are then equal)."""

    seq: int = Field(description="The number of the event that reported the change.")
    at: datetime
    run_id: UUID
    group_id: str
    item_id: str
    content: str
    from_: str | None = Field(default=None, alias="from", description="Absent when the item was new.")
    to: str = Field(description="`dropped` when the agent removed the item from the list.")


class TodoChangesAnswer(Wire):
    """`nextCursor` is set when more changes may follow."""

    items: list[TodoChangeAnswer]
    next_cursor: int | None = None


@todos.get("/api/sessions/<uuid:session_id>/todos")
@permission("runs:read")
@todos.output(TodosAnswer)
def get_session_todos(session_id: UUID) -> Response:
    """Show a session's todos

    They carry over from run to run, and from provider to provider.
    """
    with api_process().transaction() as conn:
        session_for(conn, actor(), session_id)
        groups = todos_of_session(conn, session_id)
    return answer(TodosAnswer(groups=[todo_group_answer(group) for group in groups]))


@todos.get("/api/sessions/<uuid:session_id>/todos/events")
@permission("runs:read")
@todos.input(TodoHistoryQuery, location="query")
@todos.output(TodoChangesAnswer)
def get_todo_history(session_id: UUID, query_data: TodoHistoryQuery) -> Response:
    """List the changes of a session's todos over all runs, newest first"""
    with api_process().transaction() as conn:
        session_for(conn, actor(), session_id)
        changes = todo_history(conn, session_id, before=query_data.before, limit=query_data.limit)
    return _page(changes)


@todos.get("/api/runs/<uuid:run_id>/todos")
@permission("runs:read")
@todos.output(TodosAnswer)
def get_todos(run_id: UUID) -> Response:
    """Show the session's todos as a run left them

    For a run that has not ended: the present todos.
    """
    with api_process().transaction() as conn:
        groups = todos_of_run(conn, run_for(conn, actor(), run_id))
    return answer(TodosAnswer(groups=[todo_group_answer(group) for group in groups]))


@todos.get("/api/runs/<uuid:run_id>/todos/events")
@permission("runs:read")
@todos.input(TodoChangesQuery, location="query")
@todos.output(TodoChangesAnswer)
def get_todo_changes(run_id: UUID, query_data: TodoChangesQuery) -> Response:
    """List a run's changes of the todos, oldest first"""
    with api_process().transaction() as conn:
        run_for(conn, actor(), run_id)
        changes = todo_changes(conn, run_id, after=query_data.after, limit=query_data.limit)
    return _page(changes)


def todo_group_answer(group: TodoGroup) -> TodoGroupAnswer:
    first, latest = group.first, group.latest
    return TodoGroupAnswer(
        group_id=first.group_id,
        title=first.title,
        provider=first.provider,
        run_id=latest.run_id,
        updated_at=latest.at,
        items=[_item(item) for item in group.items],
    )


def _page(changes: RowPage[TodoChange]) -> Response:
    cursor = changes[-1].number if changes.is_full else None
    return answer(TodoChangesAnswer(items=[_change(change) for change in changes], next_cursor=cursor))


def _item(item: TodoRow) -> TodoAnswer:
    return TodoAnswer(
        id=item.item_id,
        content=item.content,
        status=item.status,
        priority=item.priority,
        run_id=item.run_id,
        updated_at=item.at,
    )


def _change(change: TodoChange) -> TodoChangeAnswer:
    return TodoChangeAnswer.model_validate(
        {
            "seq": change.seq,
            "at": change.at,
            "run_id": change.run_id,
            "group_id": change.group_id,
            "item_id": change.item_id,
            "content": change.content,
            "from": change.from_status,
            "to": change.to_status,
        }
    )
