"""The chat and `show` name the people of a log as people do."""

from __future__ import annotations

from uuid import uuid4

import psycopg

from cli.chat.client import Api
from cli.chat.people import SOMEONE_ELSE, People
from handlers.access.tokens import issue_token
from handlers.access.users import add_user
from tests.integration.functions.conftest import Served


def test_each_reader_is_you_and_others_have_names(served: Served, conn: psycopg.Connection) -> None:
    session_id = served.bind().session_id
    with conn.transaction():
        add_user(conn, "ada", "admin")
        token = issue_token(conn, "ada", "a test")
    mine, adas = Api(served.url, served.token), Api(served.url, token)
    me = f"user:{mine.send('GET', '/api/me')['userId']}"
    assert (People(mine).name(me, session_id), People(adas).name(me, session_id)) == ("you", "admin")
    assert People(mine).name(f"user:{uuid4()}", session_id) == SOMEONE_ELSE


def test_others_than_users_keep_their_words(served: Served) -> None:
    people = People(Api(served.url, served.token))
    named = [people.name(author, uuid4()) for author in ("rule:r@2", "role:operator", "timeout")]
    assert named == ["rule r@2", "any operator", "timeout"]


def test_a_name_that_cannot_be_asked_for_ends_nothing() -> None:
    assert People(Api("http://127.0.0.1:9", "none")).name(f"user:{uuid4()}", uuid4()) == SOMEONE_ELSE
