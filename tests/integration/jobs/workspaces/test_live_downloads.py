"""A long file of a live workspace comes through the object store, also from an executor of an older release."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from jobs.context import TaskContext
from jobs.files.live import read_live_files
from jobs.object_store.s3 import Bucket
from schema.job_requests import PutLiveFile, ReadLiveFiles
from tests.integration.jobs.stand_in import Reply, Seen, StandIn
from tests.integration.jobs.workspaces.conftest import Session

CONTENT = b"bytes of a live file"


def put_as_an_older_executor(seen: Seen) -> Reply | None:
    """It sends the length, and no header that a link names."""
    if seen.path != "/files/put":
        return None
    part = CONTENT[seen.body["start"] : seen.body["end"]]
    answer = httpx.put(seen.body["link"], content=part, timeout=60, trust_env=False)
    return Reply(200, {"bytes": len(part)}) if answer.is_success else Reply(503, {"code": "store_failed"})


@pytest.fixture
def executor() -> Iterator[StandIn]:
    stand_in = StandIn(put_as_an_older_executor)
    yield stand_in
    stand_in.close()


def test_an_executor_of_an_older_release_can_put_a_part_of_a_file(
    context: TaskContext, session: Session, bucket: Bucket
) -> None:
    part = PutLiveFile(path="a", version="1", start=6, end=len(CONTENT))
    read = read_live_files(context, ReadLiveFiles(session_id=session.id, put=part))
    assert read.gone is None
    assert read.put_key is not None
    assert bucket.read(read.put_key) == CONTENT[6:]
