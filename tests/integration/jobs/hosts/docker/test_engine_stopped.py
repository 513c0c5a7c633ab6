"""The engine itself goes away and comes back: alone in its module, for nobody else may use it meanwhile."""

from __future__ import annotations

from uuid import uuid4

import pytest

from jobs.hosts import HostFailed
from tests.container_engine import EngineToStop
from tests.integration.jobs.hosts.docker.conftest import MakeHost

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]  # others may use the engine for minutes


def test_an_engine_that_was_stopped_and_started_has_dead_containers_on_their_volumes(
    engine_to_stop: EngineToStop, make_host: MakeHost, engine_name: str
) -> None:
    host, session_id = make_host(engine_name), uuid4()
    host.ensure_started(session_id, 1)
    engine_to_stop.stop()
    with pytest.raises(HostFailed, match="The container engine does not answer"):
        host.facts(session_id)
    with pytest.raises(HostFailed, match="The container engine does not answer"):
        host.ensure_started(session_id, 1)
    assert host.is_dead(session_id) is False, "a container engine that does not answer proves no executor dead"

    engine_to_stop.start()
    facts = host.facts(session_id)
    assert (facts.state, facts.volume, facts.volume_epoch) == ("dead", "exists", 1)
    host.ensure_started(session_id, 1)
    assert host.facts(session_id).state == "alive"
