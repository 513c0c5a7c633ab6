"""A removal takes what was meant, all of it, and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jobs.workers.retirement import force_remove_worker, look_after_workers, remove_stopped, remove_worker, stop_idle
from schema.errors import Conflict
from tests.integration.jobs.workers.conftest import Session


def test_a_removal_that_was_cut_short_is_finished(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    stop_idle(session.context, session.id)

    def fail(_folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as hurt:
        hurt.setattr("jobs.hosts.folder._delete_tree", fail)
        assert remove_stopped(session.context, session.id).failed == 1
    look_after_workers(session.context)
    assert session.status == "absent"
    left = session.folder.root.parent.glob(f"{session.session_id}*")
    assert [path.suffix for path in left] == [".lock"]


def test_a_forced_removal_that_is_done_once_more_takes_nothing_new(session: Session) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    meant = session.epoch
    force_remove_worker(session.context, session.session_id, actor="user:7", reason="broken", epoch=meant)
    session.say("write precious.txt: two")
    with pytest.raises(Conflict, match="has a new one"):
        force_remove_worker(session.context, session.session_id, actor="user:7", reason="broken", epoch=meant)
    assert (session.folder.workspace / "precious.txt").exists()
    assert session.status == "active"


@pytest.mark.parametrize("host", ["docker", "external"])
def test_a_worker_of_another_host_is_not_taken_for_gone(session: Session, host: str) -> None:
    session.say("write notes.txt: one")
    session.at_rest()
    session.runs.conn.execute("UPDATE session_workers SET host = %s", (host,))
    elsewhere = session.folder.root.rename(session.folder.root.with_name("elsewhere"))
    with pytest.raises(Conflict, match=f"on the host {host}"):
        remove_worker(session.context, session.session_id)
    with pytest.raises(Conflict, match=f"on the host {host}"):
        force_remove_worker(session.context, session.session_id, actor="user:7", reason="moved")
    assert (session.status, session.is_saved) == ("active", False)
    elsewhere.rename(session.folder.root)
