"""A job that is deferred has a task that takes it, on a queue that a worker serves."""

from __future__ import annotations

import inspect
import typing
from uuid import uuid4

import psycopg
import pytest

import handlers.enqueue
from jobs.app import app
from schema.sql import Conn

DEFER = sorted(name for name in vars(handlers.enqueue) if name.startswith("defer_"))


@pytest.mark.parametrize("name", DEFER)
def test_a_deferred_job_has_its_task(conn: psycopg.Connection, name: str) -> None:
    defer(conn, name)
    task_name, arguments = conn.execute("SELECT task_name, args FROM procrastinate_jobs").fetchall()[0]
    task = app.tasks[task_name]
    given = [None] if task.pass_context else []
    inspect.signature(task.func).bind(*given, **arguments)


def test_every_name_of_a_task_is_deferred_by_a_function(conn: psycopg.Connection) -> None:
    for name in DEFER:
        defer(conn, name)
    deferred = {row[0] for row in conn.execute("SELECT task_name FROM procrastinate_jobs").fetchall()}
    assert deferred == set(typing.get_args(handlers.enqueue.Task))


def defer(conn: Conn, name: str) -> None:
    getattr(handlers.enqueue, name)(conn, uuid4())
