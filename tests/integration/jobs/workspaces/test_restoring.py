"""What an executor may ask for while it restores."""

from __future__ import annotations

import pytest

from jobs.context import TaskContext
from jobs.workers.activate import activate
from jobs.workspaces.restore import RestoreIncomplete
from schema.object_keys import manifest_key, pack_key
from schema.wire import Json
from tests.integration.jobs.stand_in import Reply, StandIn
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all

OPERATION = "0b5ed7a0-39c1-4a35-8a31-7c5d8d9b7d11"


def wanted(session: Session, what: str) -> Json:
    head = session.snapshots[-1].id
    return {
        "a part": {"method": "PUT", "key": pack_key(session.id, "0" * 64)},
        "the snapshot itself": {"method": "PUT", "key": manifest_key(session.id, head)},
    }[what]


@pytest.mark.parametrize("what", ["a part", "the snapshot itself"])
def test_who_restores_is_given_no_link_to_write(
    context: TaskContext, session: Session, saver: Saver, executor: StandIn, what: str
) -> None:
    saver.files = contents("abc")
    session.run()
    assert save_all(context, session) == ["saved"]
    session.conn.execute("UPDATE session_workers SET restored_at = NULL")
    running = {"operationId": OPERATION, "kind": "restore", "state": "running", "progress": {"step": "downloading"}}
    executor.fail(Reply(202, {"operationId": OPERATION}), Reply(200, {**running, "wants": [wanted(session, what)]}))
    with pytest.raises(RestoreIncomplete, match="outside its rights"):
        activate(context, session.id)
    assert not any(call.path.endswith("/links") for call in executor.seen[-2:])
