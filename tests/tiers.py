"""Which tests `make test` leaves to `make test-all`, by folder or file: each kills, stops or overloads real processes.

The mark `slow` comes from this list alone, so that one place says what the first tier leaves out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLOW = {
    "tests/acceptance": "starts, kills and stops whole stacks, and drives a browser",
    "tests/integration/cli/admin": "talks to a whole stack from a terminal",
    "tests/integration/cli/chat": "talks to a whole stack from a terminal",
    "tests/integration/cli/sessions": "talks to a server from a terminal",
    "tests/integration/cli/local/test_up.py": "starts and stops whole stacks",
    "tests/integration/cli/local/test_up_store.py": "starts and stops whole stacks",
    "tests/integration/executor/agents/test_ends_of_turns.py": "waits for agents that fall silent",
    "tests/integration/executor/agents/test_misbehaving_agents.py": "waits for agents that do not answer",
    "tests/integration/executor/runs": "waits for a control plane that hangs, and for agents that do not end",
    "tests/integration/executor/snapshotter/test_round_trip.py": "makes up trees for minutes",
    "tests/integration/executor/workspaces/test_slow_ends.py": "starts executors that keep their callers waiting",
    "tests/integration/functions/events/test_restarts.py": "kills servers under their readers",
    "tests/integration/functions/events/test_streams.py": "waits until readers that stop reading are cut",
    "tests/integration/functions/events/test_tab_socket.py": "waits for readers of other processes to come and go",
    "tests/integration/functions/files/live": "starts job workers and executors",
    "tests/integration/functions/runtime/test_door.py": "waits until slow peers are closed",
    "tests/integration/functions/runtime/test_serving.py": "starts servers and waits for databases that are away",
    "tests/integration/functions/runtime/test_full_database.py": "makes a PostgreSQL of its own and fills its disk",
    "tests/integration/functions/runtime/test_log_notifier.py": "breaks connections and waits until they are back",
    "tests/integration/fuzz": "sends calls made up by chance for minutes",
    "tests/integration/handlers/human_loop/test_human_loop_by_chance.py": "makes up what people do for a minute",
    "tests/integration/jobs/hosts/test_process_host.py": "starts and kills executors",
    "tests/integration/jobs/object_store": "hurts object stores and waits for what is repeated",
    "tests/integration/jobs/runs/test_limits.py": "runs many sessions at once",
    "tests/integration/jobs/runs/test_manifests.py": "starts executors",
    "tests/integration/jobs/runs/test_reclaiming.py": "kills job workers and waits for their leases",
    "tests/integration/jobs/runs/test_reconcile.py": "starts and kills executors",
    "tests/integration/jobs/runs/test_standstill.py": "starts and stops executors",
    "tests/integration/jobs/test_frozen.py": "waits until a frozen job worker loses its locks",
    "tests/integration/jobs/test_job_queue.py": "starts job workers and executors",
    "tests/integration/jobs/test_job_worker.py": "starts and stops job workers",
    "tests/integration/jobs/workers": "starts, stops and removes session workers",
    "tests/integration/jobs/workspaces/test_garbage_by_chance.py": "makes up saves and kills for a minute",
    "tests/integration/jobs/workspaces/test_failures.py": "hurts object stores and waits for what is repeated",
    "tests/integration/jobs/workspaces/test_verify_objects.py": "hurts object stores and waits for what is repeated",
    "tests/integration/log/test_log_by_chance.py": "makes up events and readers for a minute",
    "tests/integration/races": "lets two processes meet many times",
    "tests/unit/portal": "installs and builds the portal",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them before pytest selects by marks."""
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)


def is_slow(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / name) for name in SLOW)
