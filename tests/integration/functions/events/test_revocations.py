"""Whose login or permission ends reads nothing more two seconds later, whatever is open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import psycopg
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from handlers.access.users import disable_user
from tests.integration.functions.conftest import Driver, Serve, Served
from tests.integration.functions.readers import next_message, sse_events

Revoke = Callable[[psycopg.Connection], object]
SECONDS = 2.5
"""Two, and half a one for a loaded machine."""


def disable(conn: psycopg.Connection) -> None:
    with conn.transaction():
        disable_user(conn, "mia")


def revoke_quietly(conn: psycopg.Connection) -> None:
    """Without a notification, as an expiry comes: the recheck of each second finds it."""
    conn.execute("UPDATE access_tokens SET revoked_at = now() WHERE label = 'tests'")


def give_session_away(conn: psycopg.Connection) -> None:
    conn.execute("UPDATE sessions SET owner_id = (SELECT id FROM users WHERE name = 'admin')")


@pytest.mark.parametrize(("revoke", "code"), [(disable, 4401), (revoke_quietly, 4401), (give_session_away, 4403)])
def test_sockets_and_streams_of_a_member_end(
    served: Served, conn: psycopg.Connection, member: str, revoke: Revoke, code: int
) -> None:
    theirs = Served(served.process, served.port, served.log, token=member)
    driver = theirs.bind()
    with ExitStack() as stack:
        ws = stack.enter_context(connect(theirs.socket_url(driver.session_id), additional_headers=theirs.headers))
        assert next_message(ws)["kind"] == "snapshot"
        stream = stack.enter_context(streaming(theirs, driver))
        revoke(conn)
        began = time.monotonic()
        closing = next_message(ws)
        assert (closing["kind"], closing["code"], closing["seq"]) == ("closing", code, 2)
        assert code_of_close(ws) == code
        assert list(stream) == []
        assert time.monotonic() - began < SECONDS


@contextmanager
def streaming(served: Served, driver: Driver) -> Iterator[Iterator[object]]:
    """A run's stream of which the two first events are read."""
    with served.client() as client, client.stream("GET", f"/api/runs/{driver.run_id}/stream") as response:
        events = sse_events(response)
        next(events), next(events)
        yield events


def test_a_tab_of_a_signed_out_browser_is_closed(serve: Serve, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.write_text(sha256(b"c").hexdigest())
    served = serve(RUNYARD_SIGN_IN_CODE_FILE=str(code))
    with httpx.Client(base_url=served.url, trust_env=False, headers={"Origin": served.url}) as browser:
        browser.get("/sign-in?code=c")
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        url = f"ws://127.0.0.1:{served.port}/api/ws"
        with connect(url, additional_headers=cookie, origin=Origin(served.url)) as ws:
            assert next_message(ws)["kind"] == "hello"
            began = time.monotonic()
            signed_in = browser.get("/api/me/sign-ins").json()["items"]
            assert browser.delete(f"/api/me/sign-ins/{signed_in[0]['signInId']}").status_code == 204
            while (message := next_message(ws))["kind"] != "closing":
                pass
            assert message["code"] == code_of_close(ws) == 4401
            assert time.monotonic() - began < SECONDS


def code_of_close(ws: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_who_may_still_read_goes_on_reading(served: Served, conn: psycopg.Connection, member: str) -> None:
    driver = served.bind()
    with connect(served.socket_url(driver.session_id, after=2), additional_headers=served.headers) as ws:
        theirs = Served(served.process, served.port, served.log, token=member)
        other = theirs.bind()
        with connect(theirs.socket_url(other.session_id, after=2), additional_headers=theirs.headers) as gone:
            disable(conn)
            assert next_message(gone)["kind"] == "closing"
        assert driver.report(driver.delta("x"))[0] == 200
        assert next_message(ws)["seq"] == 3
