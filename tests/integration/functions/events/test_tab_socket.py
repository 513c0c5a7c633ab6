"""The one socket of a tab, over a server: sessions by subscription, and the user's list and requests unasked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from handlers.access.tokens import issue_token
from schema.wire import Json
from tests.integration.functions.conftest import Driver, Serve, Served, wait_until
from tests.integration.functions.readers import report_many


@dataclass
class Tab:
    """A socket of `WS /api/ws`, and what has come over it."""

    ws: ClientConnection
    frames: list[Json] = field(default_factory=list)

    def say(self, kind: str, **more: object) -> None:
        self.ws.send(json.dumps({"kind": kind, **more}))

    def subscribe(self, driver: Driver, **more: object) -> None:
        self.say("subscribe", sessionId=str(driver.session_id), **more)

    def until(self, kind: str, fits: Callable[[Json], bool] = lambda _: True, *, seconds: float = 10) -> Json:
        """Read up to the first such frame."""
        while True:
            frame: Json = json.loads(self.ws.recv(timeout=seconds))
            self.frames.append(frame)
            if frame["kind"] == kind and fits(frame):
                return frame

    def events_up_to(self, driver: Driver, last: int) -> list[int]:
        """The numbers of the session's events from here up to the last."""
        begin = len(self.frames)
        self.until("event", lambda frame: frame["sessionId"] == str(driver.session_id) and frame["seq"] == last)
        return self.seqs_of(driver, self.frames[begin:])

    def seqs_of(self, driver: Driver, frames: list[Json] | None = None) -> list[int]:
        chosen = self.frames if frames is None else frames
        of_session = [frame for frame in chosen if frame.get("sessionId") == str(driver.session_id)]
        return [frame["seq"] for frame in of_session if frame["kind"] == "event"]


@contextmanager
def tab_of(served: Served, token: str | None = None) -> Iterator[Tab]:
    headers = {"Authorization": f"Bearer {token or served.token}"}
    with connect(f"ws://127.0.0.1:{served.port}/api/ws", additional_headers=headers, max_size=None) as ws:
        yield Tab(ws)


def ask(driver: Driver) -> str:
    """Ask as an agent does for permission; returns the request's id."""
    request_id = str(uuid4())
    options = [{"optionId": "yes", "name": "Allow", "kind": "allow_once"}]
    call = {"toolCallId": "t1", "title": "touch a"}
    asked: dict[str, Any] = {"kind": "permission", "title": "May I?", "fingerprint": "f"}
    event = driver.event("human_loop.requested", requestId=request_id, options=options, toolCall=call, **asked)
    assert driver.report(event)[0] == 200
    return request_id


def test_it_says_hello_and_answers_pings_and_refuses_what_it_does_not_know(served: Served) -> None:
    with tab_of(served) as tab:
        assert set(tab.until("hello")) == {"kind", "userId", "version"}
        tab.say("ping")
        assert tab.until("pong") == {"kind": "pong"}
        for message, code in (
            ('{"kind": "from the future"}', "unknown_kind"),
            ("not json", "malformed"),
            ("[" * 60_000, "malformed"),
            ('{"kind": "subscribe"}', "invalid_message"),
            ('{"kind": "subscribe", "sessionId": "x"}', "invalid_message"),
            (json.dumps({"kind": "subscribe", "sessionId": str(uuid4())}), "unknown_session"),
        ):
            tab.ws.send(message)
            assert tab.until("error")["code"] == code
        tab.say("ping")
        assert tab.until("pong"), "the socket stays open"


def test_a_tab_needs_a_credential(served: Served) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{served.port}/api/ws"):
        pass
    assert refused.value.response.status_code == 401


def test_two_sessions_over_one_socket_each_come_whole_and_in_order(served: Served) -> None:
    first, second = served.bind(), served.bind()
    report_many(first, 500)
    with tab_of(served) as tab:
        tab.subscribe(first, after=100)
        tab.subscribe(second)
        snapshot = tab.until("snapshot")
        assert (snapshot["sessionId"], snapshot["seq"]) == (str(second.session_id), 2)
        report_many(second, 50)
        report_many(first, 50)
        tab.until("event", lambda frame: frame["sessionId"] == str(first.session_id) and frame["seq"] == 552)
        if tab.seqs_of(second)[-1:] != [52]:
            tab.events_up_to(second, 52)
        assert tab.seqs_of(first) == list(range(101, 553))
        assert tab.seqs_of(second) == list(range(3, 53))
        tab.say("unsubscribe", sessionId=str(first.session_id))
        tab.say("ping")
        tab.until("pong")
        report_many(first, 50)
        report_many(second, 50)
        tab.events_up_to(second, 102)
        assert tab.seqs_of(first)[-1] == 552, "no event of a session that is read no more"
        tab.subscribe(first, after=600)
        assert tab.events_up_to(first, 602) == [601, 602]
        tab.subscribe(first, after=10**9)
        error = tab.until("error")
        assert (error["code"], error["sessionId"]) == ("bad_cursor", str(first.session_id))


def test_a_snapshot_has_the_transcript_for_who_asks_and_events_go_on_after_it(served: Served) -> None:
    driver = served.bind()
    report_many(driver, 100)
    with tab_of(served) as tab, served.client() as client:
        tab.subscribe(driver, transcript=1)
        snapshot = tab.until("snapshot")
        page = client.get(f"/api/sessions/{driver.session_id}/transcript?limit=1").json()
        assert len(snapshot["transcript"]["items"]) == len(page["items"]) == 1
        assert snapshot["transcript"]["seq"] == page["seq"]
        report_many(driver, 50)
        assert tab.events_up_to(driver, 152) == list(range(snapshot["seq"] + 1, 153))
        tab.subscribe(driver, transcript=0)
        assert tab.until("error")["code"] == "invalid_message"


def test_changes_of_the_list_come_unasked_at_most_once_a_second(served: Served) -> None:
    driver = served.bind()
    with tab_of(served) as tab, served.client() as client:
        tab.until("hello")
        report_many(driver, 100, batch=1)
        last = tab.until("session", lambda frame: frame["lastSeq"] == 102)
        assert last["sessionId"] == str(driver.session_id)
        rows = [frame["lastSeq"] for frame in tab.frames if frame["kind"] == "session"]
        assert rows == sorted(set(rows)), "a row is told again only when it has changed"
        assert len(rows) < 20
        path = f"/api/sessions/{driver.session_id}"
        assert client.patch(path, json={"pinned": True, "title": "new"}).status_code == 200
        tab.until("session", lambda frame: frame["pinned"] and frame["title"] == "new")
        assert client.put(f"{path}/read", json={"seq": 50}).status_code == 204
        tab.until("session", lambda frame: frame["readSeq"] == 50)
        opened = client.post("/api/sessions", json={"title": "another"}).json()["sessionId"]
        tab.until("session", lambda frame: frame["sessionId"] == opened)
        assert client.delete(f"/api/sessions/{opened}").status_code == 204
        assert tab.until("session_deleted")["sessionId"] == opened


def test_a_row_that_changed_without_a_hint_comes_with_the_poll(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with tab_of(served) as tab:
        tab.until("session", lambda frame: frame["status"] == "running")
        conn.execute("UPDATE session_logs SET last_seq = last_seq + 1 WHERE session_id = %s", [driver.session_id])
        conn.execute("UPDATE runs SET status = 'waiting' WHERE session_id = %s", [driver.session_id])
        tab.until("session", lambda frame: frame["status"] == "waiting")


def test_a_request_is_told_when_it_opens_and_when_it_closes_to_who_may_answer(
    served: Served, conn: psycopg.Connection, member: str
) -> None:
    driver = served.bind()
    with tab_of(served) as mine, tab_of(served, member) as theirs, served.client() as client:
        mine.until("hello")
        theirs.until("hello")
        request_id = ask(driver)
        opened = mine.until("request")
        assert (opened["requestId"], opened["status"]) == (request_id, "open")
        assert opened["request"]["title"] == "May I?"
        assert opened["request"]["mayDecide"]
        answered = client.post("/api/human-loop/reply", json={"requestId": request_id, "decision": "allow"})
        assert answered.status_code == 200
        closed = mine.until("request")
        assert (closed["requestId"], closed["request"]["mayDecide"]) == (request_id, False)
        assert closed["status"] != "open"
        request_id = ask(driver)
        mine.until("request")
        assert not [frame for frame in theirs.frames if frame["kind"] == "request"], "it is not theirs"
        conn.execute(
            "UPDATE human_requests SET escalated_at = now(), escalate_to = 'role:member' WHERE id = %s", [request_id]
        )
        driver.report(driver.delta("x"))
        assert theirs.until("request")["requestId"] == request_id


def test_a_request_that_was_open_before_the_tab_came_is_told_when_it_closes(served: Served) -> None:
    driver = served.bind()
    request_id = ask(driver)
    with tab_of(served) as tab, served.client() as client:
        tab.until("session")  # what is open is known by now
        client.post("/api/human-loop/reply", json={"requestId": request_id, "decision": "deny"})
        closed = tab.until("request", lambda frame: frame["status"] != "open")
        assert closed["requestId"] == request_id


def test_readers_of_a_session_learn_who_reads_it_too(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with conn.transaction():
        conn.execute("INSERT INTO users (name, role) VALUES ('ann', 'admin')")
        token = issue_token(conn, "ann", "tests")
    with tab_of(served) as mine:
        mine.subscribe(driver)
        assert names_in(mine.until("presence")) == ["admin"]
        with tab_of(served, token) as theirs:
            theirs.subscribe(driver)
            assert names_in(theirs.until("presence")) == ["admin", "ann"]
            assert names_in(mine.until("presence")) == ["admin", "ann"]
        assert names_in(mine.until("presence")) == ["admin"]


def test_a_reader_whose_name_changes_is_named_once(served: Served, conn: psycopg.Connection) -> None:
    driver = served.bind()
    with conn.transaction():
        conn.execute("INSERT INTO users (name, role) VALUES ('ann', 'admin')")
        token = issue_token(conn, "ann", "tests")
    with tab_of(served) as mine, tab_of(served, token) as older:
        mine.subscribe(driver)
        older.subscribe(driver)
        mine.until("presence", lambda frame: names_in(frame) == ["admin", "ann"])
        conn.execute("UPDATE users SET name = 'anna' WHERE name = 'ann'")
        with tab_of(served, token) as newer:
            newer.subscribe(driver)
            assert names_in(mine.until("presence")) == ["admin", "anna"]
            older.ws.close()
        assert names_in(mine.until("presence")) == ["admin"]


def test_readers_in_other_processes_are_named_too_once_and_go_with_their_process(
    serve: Serve, conn: psycopg.Connection
) -> None:
    here, there = serve(), serve()
    driver = here.bind()
    with conn.transaction():
        conn.execute("INSERT INTO users (name, role) VALUES ('ann', 'admin'), ('bob', 'admin')")
        ann, bob = (issue_token(conn, name, "tests") for name in ("ann", "bob"))
    with ExitStack() as stack:
        mine = stack.enter_context(tab_of(here))
        mine.subscribe(driver)
        assert names_in(mine.until("presence")) == ["admin"]
        for token in (ann, ann, bob):
            stack.enter_context(tab_of(there, token)).subscribe(driver)
        both = stack.enter_context(tab_of(here, ann))
        both.subscribe(driver)
        assert names_in(mine.until("presence", lambda frame: len(frame["users"]) == 3)) == ["admin", "ann", "bob"]
        both.until("presence", lambda frame: names_in(frame) == ["admin", "ann", "bob"])
        there.process.kill()
        left = mine.until("presence", lambda frame: "bob" not in names_in(frame))
        assert names_in(left) == ["admin", "ann"], "who has a tab here too stays"
        both.ws.close()
        assert names_in(mine.until("presence")) == ["admin"]
    mine_left = "SELECT FROM session_readers JOIN users ON users.id = user_id WHERE name = 'admin'"
    wait_until(lambda: not conn.execute(mine_left).fetchall())


def test_a_process_that_stops_takes_its_readers_with_it_at_once(serve: Serve, conn: psycopg.Connection) -> None:
    here, there = serve(), serve()
    driver = here.bind()
    with conn.transaction():
        conn.execute("INSERT INTO users (name, role) VALUES ('ann', 'admin')")
        token = issue_token(conn, "ann", "tests")
    with tab_of(here) as mine, tab_of(there, token) as theirs:
        mine.subscribe(driver)
        theirs.subscribe(driver)
        mine.until("presence", lambda frame: names_in(frame) == ["admin", "ann"])
        theirs.until("presence", lambda frame: names_in(frame) == ["admin", "ann"])
        there.process.terminate()
        theirs.until("closing")
        mine.until("presence", lambda frame: names_in(frame) == ["admin"], seconds=5)


def test_presence_comes_back_after_a_crash_of_the_database_emptied_its_tables(
    serve: Serve, conn: psycopg.Connection
) -> None:
    here, there = serve(), serve()
    driver = here.bind()
    with conn.transaction():
        conn.execute("INSERT INTO users (name, role) VALUES ('ann', 'admin')")
        token = issue_token(conn, "ann", "tests")
    with tab_of(here) as mine, tab_of(there, token) as theirs:
        mine.subscribe(driver)
        theirs.subscribe(driver)
        mine.until("presence", lambda frame: names_in(frame) == ["admin", "ann"])
        conn.execute("TRUNCATE presence_processes, session_readers")
        wait_until(lambda: len(conn.execute("SELECT FROM session_readers").fetchall()) == 2, seconds=10)
        mine.say("ping")
        mine.until("pong")
        shown = [names_in(frame) for frame in mine.frames if frame["kind"] == "presence"]
        if shown[-1] != ["admin", "ann"]:
            mine.until("presence", lambda frame: names_in(frame) == ["admin", "ann"])


def names_in(frame: Json) -> list[str]:
    return [user["name"] for user in frame["users"]]


def test_a_subscription_ends_alone_when_its_session_is_deleted(served: Served) -> None:
    kept, gone = served.bind(), served.bind()
    assert gone.finish()[0] == 200
    with tab_of(served) as tab, served.client() as client:
        for driver in (kept, gone):
            tab.subscribe(driver, after=0)
        wait_until(lambda: tab.until("event")["seq"] > 0)
        assert client.delete(f"/api/sessions/{gone.session_id}").status_code == 204
        ended = tab.until("unsubscribed")
        assert (ended["code"], ended["sessionId"]) == (4403, str(gone.session_id))
        report_many(kept, 50)
        assert tab.events_up_to(kept, 52)[-1] == 52
