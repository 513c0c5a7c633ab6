"""The doctor tells a key that only reads; the object store that the tests start has one."""

from __future__ import annotations

from dataclasses import replace

from jobs.doctor.reading_key import check_reading_key
from tests.object_stores import RunningStore, StoreServer


def test_a_reading_key_that_only_reads_is_called_so(store_server: StoreServer, object_store: RunningStore) -> None:
    access_key, secret = store_server.reading_key
    reading = replace(object_store.settings, access_key_id=access_key, secret_access_key=secret)
    [finding] = check_reading_key(object_store.settings, reading)
    assert (finding.state, "refuses its writes" in finding.what) == ("ok", True)
    assert object_store.keys() == set()
