"""A row that another version or a fault left damaged holds up no other row of any list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg
import pytest
from structlog.testing import CapturingLogger

from functions.runtime.database import OneConnection
from functions.runtime.socket_hub import SocketHub
from functions.sessions.list_changes import ListChanges
from handlers.access.permissions import Actor
from handlers.access.users import user_named
from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, wait_until

NO_NUMBER = 'UPDATE usage_log SET usage = \'{"inputTokens": "a secret"}\' WHERE session_id = %s'
NO_MOMENT = "UPDATE sessions SET created_at = 'infinity' WHERE id = %s"
NO_OPTIONS = "UPDATE human_requests SET options = '[\"a secret\"]' WHERE session_id = %s"


@dataclass(eq=False)
class Tab:
    actor: Actor
    frames: list[Json] = field(default_factory=list)

    def send(self, frame: bytes) -> None:
        self.frames.append(json.loads(frame[frame.index(b"{") :]))

    def rows(self, kind: str = "session") -> set[str]:
        return {frame["sessionId"] for frame in self.frames if frame["kind"] == kind}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    log = CapturingLogger()
    monkeypatch.setattr("schema.isolation._log", log)
    return log


@pytest.fixture
def lists(database: str) -> Iterator[ListChanges]:
    hub, connection = SocketHub(most=3), OneConnection(database)
    hub.start()
    yield ListChanges(hub, connection)
    hub.end_all()
    hub.stop()
    connection.close()


@pytest.fixture
def tabs(conn: psycopg.Connection, lists: ListChanges, member: str) -> list[Tab]:  # noqa: ARG001  makes mia
    tabs = []
    for name in ("admin", "mia"):
        user = user_named(conn, name)
        tabs.append(Tab(Actor(user_id=user.id, name=user.name, role=user.role)))
        lists.join(tabs[-1])
    conn.rollback()
    lists.run_once()
    return tabs


def asks(driver: Driver) -> None:
    options = [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]
    asked: Json = {"requestId": str(uuid4()), "kind": "permission", "title": "May I?", "fingerprint": "f"}
    assert driver.report(driver.event("human_loop.requested", **asked, options=options))[0] == 200


def spends(driver: Driver) -> None:
    driver.report(driver.event("usage.update", inputTokens=1), driver.event("run.finished", status="succeeded"))


@pytest.mark.parametrize("damage", [NO_NUMBER, NO_MOMENT])
def test_a_damaged_session_holds_up_no_other_sessions_row(
    api: Api,
    conn: psycopg.Connection,
    member: str,
    lists: ListChanges,
    tabs: list[Tab],
    log: CapturingLogger,
    damage: str,
) -> None:
    mias = Api(api.client, token=member)
    damaged, others = mias.bind(), [mias.bind(), api.bind(), api.bind()]
    for driver in (damaged, *others):
        spends(driver)
    conn.execute(damage, (damaged.session_id,))
    conn.commit()
    admin, mia = tabs
    for _ in range(2):
        lists.changed([damaged.session_id, *(driver.session_id for driver in others)])
        lists.run_once()
        wait_until(lambda: admin.rows() | mia.rows() == {str(driver.session_id) for driver in others})
        assert mia.rows() == {str(others[0].session_id)}
        lists._reported.clear()
    [call] = log.calls
    assert (call.method_name, call.args) == ("error", ("session_frame.left_out",))
    assert call.kwargs.pop("at").startswith("schema/")
    assert call.kwargs.pop("error") in ("InvalidTextRepresentation", "DataError")
    assert call.kwargs == {"sessionId": str(damaged.session_id)}

    conn.execute("UPDATE usage_log SET usage = '{}' WHERE session_id = %s", (damaged.session_id,))
    conn.execute("UPDATE sessions SET created_at = now() WHERE id = %s", (damaged.session_id,))
    conn.commit()
    lists.changed([damaged.session_id])
    lists.run_once()
    wait_until(lambda: str(damaged.session_id) in mia.rows())


def test_a_damaged_request_holds_up_no_other_request(
    api: Api,
    conn: psycopg.Connection,
    lists: ListChanges,
    tabs: list[Tab],
    log: CapturingLogger,
) -> None:
    damaged, other = api.bind(), api.bind()
    asks(damaged)
    asks(other)
    conn.execute(NO_OPTIONS, (damaged.session_id,))
    conn.commit()
    lists.changed([damaged.session_id, other.session_id])
    lists.run_once()
    admin, mia = tabs
    wait_until(lambda: admin.rows("request") == {str(other.session_id)})
    assert admin.rows() >= {str(damaged.session_id), str(other.session_id)}
    assert mia.frames == []
    assert [(call.method_name, call.args, call.kwargs["error"]) for call in log.calls] == [
        ("error", ("request_frame.left_out",), "ValidationError")
    ]
    assert "secret" not in str(log.calls)
