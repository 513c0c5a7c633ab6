"""One socket reads many sessions, up to its limit."""

from __future__ import annotations

import psycopg

from functions.sessions.tab_socket import MOST_SUBSCRIPTIONS
from tests.integration.functions.conftest import Served
from tests.integration.functions.events.test_tab_socket import tab_of


def test_a_tab_reads_so_many_sessions_and_not_one_more(served: Served, conn: psycopg.Connection) -> None:
    served.bind()
    conn.execute(
        "WITH made AS ("
        "INSERT INTO sessions (owner_id, app_id, title)"
        " SELECT owner_id, app_id, title FROM sessions, generate_series(1, %s) RETURNING id"
        ") INSERT INTO session_logs (session_id) SELECT id FROM made",
        (MOST_SUBSCRIPTIONS,),
    )
    conn.commit()
    sessions = [str(id_) for (id_,) in conn.execute("SELECT id FROM sessions").fetchall()]
    with tab_of(served) as tab:
        for session_id in sessions[:MOST_SUBSCRIPTIONS]:
            tab.say("subscribe", sessionId=session_id)
            tab.until("snapshot", seconds=30)
        tab.say("subscribe", sessionId=sessions[MOST_SUBSCRIPTIONS])
        assert tab.until("error", seconds=30)["code"] == "too_many_subscriptions"
