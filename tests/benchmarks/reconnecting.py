"""G19: an API process restarts under 1,000 tabs. They come back over a time; none misses or doubles an event."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from functions.runtime.ports import raise_open_files
from tests.acceptance.faults.many_tabs import ManyTabs
from tests.acceptance.stack import free_port
from tests.acceptance.waiting import wait_until
from tests.benchmarks.ground import fresh_database, make_sources, make_token, running_server, serving
from tests.benchmarks.report import Line
from tests.benchmarks.sockets import Sender

TABS, SESSIONS = 1000, 100
WITHIN_SECONDS = 120.0


def reconnecting() -> Iterator[Line]:
    raise_open_files()
    with running_server() as server, fresh_database(server) as dsn:
        sources, port, token = make_sources(dsn, SESSIONS), free_port(), make_token(dsn)
        session_ids = [str(source.session_id) for source in sources]
        with Sender(dsn, sources) as sender, ManyTabs(port, token, session_ids, last_seq=2, count=TABS) as tabs:
            with serving("functions.wsgi:app", dsn, port=port) as old:
                wait_until(lambda: tabs.connected == TABS, seconds=WITHIN_SECONDS, what="not all tabs came")
                sender.start()
                old.process.terminate()
                ended_at = time.monotonic()
                old.process.wait(30)
                exited_at = time.monotonic()
            with serving("functions.wsgi:app", dsn, port=port):
                served_at = time.monotonic()
                wait_until(lambda: tabs.connected == TABS, seconds=WITHIN_SECONDS, what="not all tabs came back")
                last_seqs = {str(session_id): seq for session_id, seq in sender.stop().items()}
                wait_until(lambda: tabs.have(last_seqs), seconds=WITHIN_SECONDS, what="events are missing")
                frames, faults = tabs.counted()
    back = sorted(at - ended_at for at in tabs.handshakes if at > ended_at)
    attempts = [at - ended_at for at in tabs.attempts if at > ended_at]
    assert faults == 0, f"{faults} events came twice or out of order"
    exited, served = exited_at - ended_at, served_at - ended_at
    note = f"the process ended after {exited:.1f} s, the next one answered at {served:.1f} s"
    yield Line("G19", f"SIGTERM to all {TABS:,} tabs back", f"{back[-1]:.1f} s", note=note)
    yield Line("G19", "most handshakes in a second, meanwhile", f"{most_in_a_second(back):,}")
    yield Line("G19", "most attempts in a second, also those that found no server", f"{most_in_a_second(attempts):,}")
    yield Line("G19", "events missed or doubled, of those sent to tabs", f"0 of {frames:,}")


def most_in_a_second(times: Sequence[float]) -> int:
    """Return the largest number of these within any second."""
    times = sorted(times)
    begin = most = 0
    for end, at in enumerate(times):
        while at - times[begin] >= 1:
            begin += 1
        most = max(most, end - begin + 1)
    return most
