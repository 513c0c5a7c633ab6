"""A job worker killed in the middle of a save or a restore: another goes on with it, and nothing of it is half there.

Real executors, engines and an object store. What is held on its way says where the kill falls: a request of the engine
to the store, or the job worker's own transaction. tests/FAULTS.md: faults 8, 23 and 24.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.acceptance.faults.plane import Plane, running_plane
from tests.acceptance.talk import Talk
from tests.acceptance.waiting import wait_until
from tests.checker import check
from tests.integration.executor.saving import is_snapshotter
from tests.model_server.starter import ModelServer
from tests.object_stores import RunningStore
from tests.proxy import Hold
from tests.store_faults import Fault, HurtStore

pytestmark = pytest.mark.stack
AUTO = {"mode": "auto"}
MAKE = (
    "run: head -c 3000000 /dev/urandom > made; mkdir -p d/empty; echo more > d/text; chmod 700 d/text; ln -s text d/l"
)
CHANGE = "run: head -c 3000000 /dev/urandom > made; echo again >> d/text; rm d/l; head -c 99 /dev/urandom > d/new"
TAKEN_UP_SECONDS = 45.0
Tree = dict[str, tuple[int, int, bytes]]
Caught = tuple[Event, Callable[[], None]]
"""Set once the job worker is where it is to be killed; what lets go on whatever it left."""


@pytest.fixture
def plane(
    database: str, scripted_model: ModelServer, object_store: RunningStore, hurt_store: HurtStore, tmp_path: Path
) -> Iterator[Plane]:
    """One of this test's own, whose job workers save to a store that can be hurt."""
    with running_plane(database, tmp_path, model_url=scripted_model.url) as made:
        made.settings = {**made.settings, **object_store.at(hurt_store.url).environment}
        made.make_well()
        yield made
        hurt_store.heal()
        made.check()
        check(database, stored=object_store.keys())


@pytest.fixture
def talk(plane: Plane) -> Iterator[Talk]:
    with plane.talk() as talking:
        yield talking


def at_store(store: HurtStore, *, method: str, part_of_key: str) -> Caught:
    """The next such request of the engine, which goes on when it is let go."""
    fault = store.hurt(Fault(method=method, part_of_key=part_of_key, hold=Event()))
    assert fault.hold is not None
    return fault.met, fault.hold.set


def at_transaction(plane: Plane, event_type: str) -> Caught:
    """The job worker's transaction that is about to write this event; it never ends."""
    hold: Hold = plane.worker_postgres.hold(event_type.encode())
    return hold.caught, hold.drop


def kill_where_caught(plane: Plane, caught: Caught) -> None:
    """Only its own process; its executors and their engines live on. Another one is there already."""
    met, let_go = caught
    assert met.wait(60), plane.worker.log.read_text()[-3000:]
    another = plane.start_worker()
    plane.worker.process.kill()
    plane.worker.process.wait(10)
    plane.worker = another
    let_go()


def tree(folder: Path) -> Tree:
    """All below it: mode, modification time in ns, and the bytes of files or the aim of links."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        held = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, 0 if path.is_symlink() else status.st_mtime_ns, held)
    return found


def wait_until_saved(plane: Plane, session_id: str) -> None:
    """And no engine of its executor is left."""
    state = """SELECT dirty_since IS NULL AND sync_claimed_by IS NULL AND head_snapshot IS NOT NULL
        FROM session_workers WHERE session_id = %s"""
    log: Callable[[], str] = lambda: plane.worker.log.read_text()[-3000:]  # noqa: E731
    wait_until(lambda: bool(plane.one(state, session_id)), seconds=TAKEN_UP_SECONDS, what=log)
    executor = plane.executor_of(session_id)
    assert executor is not None
    assert [child for child in executor.children(recursive=True) if is_snapshotter(child)] == []


def numbers(plane: Plane, session_id: str) -> object:
    return plane.one("SELECT array_agg(number ORDER BY number) FROM snapshots WHERE session_id = %s", session_id)


def remove(plane: Plane, talk: Talk, session_id: str) -> None:
    """As the long limit would: nothing of the session is left but what is in the store."""
    path = f"/api/session-workers/{session_id}"
    wait_until(lambda: talk.http.delete(path, timeout=90).status_code == 200, seconds=60, what="it was not removed")
    assert not plane.workspace(session_id).exists()


def saved_session(plane: Plane, talk: Talk) -> str:
    session_id: str = talk.say(MAKE, options=AUTO)[0]["sessionId"]
    wait_until_saved(plane, session_id)
    return session_id


@pytest.mark.parametrize("where", ["a pack is on its way", "the manifest is on its way", "it is about to be committed"])
def test_a_save_goes_on_under_another_job_worker(plane: Plane, talk: Talk, hurt_store: HurtStore, where: str) -> None:
    session_id = saved_session(plane, talk)
    before = numbers(plane, session_id)
    caught = {
        "a pack is on its way": lambda: at_store(hurt_store, method="PUT", part_of_key="/packs/"),
        "the manifest is on its way": lambda: at_store(hurt_store, method="PUT", part_of_key="/snapshots/"),
        "it is about to be committed": lambda: at_transaction(plane, "workspace.synced"),
    }[where]()
    talk.say(CHANGE, sessionId=session_id, options=AUTO)
    newest = tree(plane.workspace(session_id))
    kill_where_caught(plane, caught)
    assert numbers(plane, session_id) == before
    wait_until_saved(plane, session_id)
    assert numbers(plane, session_id) == [1, 2]
    remove(plane, talk, session_id)
    talk.say("say: back", sessionId=session_id, options=AUTO)
    assert tree(plane.workspace(session_id)) == newest


@pytest.mark.parametrize("where", ["a pack is on its way", "it is about to be recorded"])
def test_a_restore_goes_on_under_another_job_worker(
    plane: Plane, talk: Talk, hurt_store: HurtStore, where: str
) -> None:
    session_id = saved_session(plane, talk)
    saved = tree(plane.workspace(session_id))
    remove(plane, talk, session_id)
    caught = {
        "a pack is on its way": lambda: at_store(hurt_store, method="GET", part_of_key="/packs/"),
        "it is about to be recorded": lambda: at_transaction(plane, "workspace.restored"),
    }[where]()
    started = talk.start("say: back", sessionId=session_id, options=AUTO)
    kill_where_caught(plane, caught)
    plane.wait_for(started["runId"], "succeeded", seconds=TAKEN_UP_SECONDS)
    assert tree(plane.workspace(session_id)) == saved
    assert plane.one("SELECT epoch FROM session_workers WHERE session_id = %s", session_id) == 2
    wait_until_saved(plane, session_id)
