"""The process host with real executors: one per session, adopted, replaced, restarted on the same folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psutil
import pytest

from handlers.runs.claim import claim_run
from handlers.workers.rows import worker_of
from jobs.context import TaskContext
from jobs.hosts import HostFailed
from jobs.hosts.folder import SessionFolder
from jobs.runs.execute import execute_run
from jobs.runs.reconcile import look_after_executors
from jobs.runs.stop import stop_run
from jobs.workers.activate import activate
from jobs.workers.retirement import look_after_workers
from schema.rows import RunRow, WorkerRow
from tests.integration.jobs.conftest import Runs
from tests.integration.jobs.waiting import wait_until

Make = Callable[..., TaskContext]


def folder_of(context: TaskContext, session_id: UUID) -> SessionFolder:
    return SessionFolder(context.settings.runyard_data_dir / "workers" / str(session_id))


def executor_of(context: TaskContext, session_id: UUID) -> psutil.Process:
    listening = folder_of(context, session_id).listening()
    assert listening is not None
    assert listening.process is not None
    return listening.process


def worker_row(runs: Runs, session_id: UUID) -> WorkerRow:
    row = worker_of(runs.conn, session_id)
    assert row is not None
    return row


def waiting_run(context: TaskContext, runs: Runs, **changes: object) -> RunRow:
    """A run whose agent is at work for a long time."""
    run = runs.start("sleep 100", **changes)
    assert execute_run(context, run.id) == "started"
    return runs.wait_for(run.id, "running")


def test_a_worker_is_started_on_a_folder_of_its_own(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    endpoint = activate(context, run.session_id).endpoint
    row = worker_row(runs, run.session_id)
    assert (row.status, row.host, row.epoch, row.base_url) == ("active", "process", 1, endpoint.base_url)
    assert context.executors.health(endpoint.base_url).session_id == run.session_id
    folder = folder_of(context, run.session_id)
    modes = [path.stat().st_mode & 0o777 for path in (folder.root, folder.workspace, folder.agent, folder.state)]
    assert modes == [0o700] * 4


def test_an_executor_knows_none_of_our_secrets(
    context: TaskContext, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("SOMETHING_PRIVATE", "1")
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    environment = executor_of(context, run.session_id).environ()
    assert not {"DATABASE_URL", "RUNYARD_SECRET_KEY", "SOMETHING_PRIVATE"} & environment.keys()


def test_an_executors_environment_shows_no_key_of_a_provider(
    make_context: Make, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-an-agent")
    context, run = make_context(), runs.start()
    context.host.ensure_started(run.session_id, 1)
    try:
        environment = executor_of(context, run.session_id).environ()
    except psutil.AccessDenied:  # the kernel shows it to nobody but root
        return
    assert "sk-of-an-agent" not in environment.values()


def test_two_activations_at_once_make_one_worker(make_context: Make, runs: Runs) -> None:
    run = runs.start()
    shops = [make_context(), make_context()]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda context: activate(context, run.session_id), shops * 2))
    assert len(set(found)) == 1
    alive = [each for each in psutil.Process().children() if is_executor_of(each, run.session_id)]
    assert len(alive) == 1


def is_executor_of(process: psutil.Process, session_id: UUID) -> bool:
    try:
        held = {file.path for file in process.open_files()}
        return any(f"/{session_id}/state/executor.lock" in path for path in held)
    except psutil.Error:
        return False


def test_another_job_worker_adopts_what_runs(make_context: Make, runs: Runs) -> None:
    first, second = make_context(), make_context()
    run = runs.start()
    endpoint = first.host.ensure_started(run.session_id, 1)
    assert second.host.facts(run.session_id).endpoint == endpoint
    assert second.host.ensure_started(run.session_id, 1) == endpoint


def test_a_dead_executor_is_replaced_on_the_same_folder(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    kept = folder_of(context, run.session_id).workspace / "kept"
    kept.write_text("here")
    executor_of(context, run.session_id).kill()
    wait_until(lambda: context.host.is_dead(run.session_id), lambda: "still alive")
    assert context.host.facts(run.session_id).state == "dead"
    endpoint = context.host.ensure_started(run.session_id, 1)
    assert context.executors.health(endpoint.base_url).session_id == run.session_id
    assert kept.read_text() == "here"


def test_a_hung_executor_is_replaced(make_context: Make, runs: Runs) -> None:
    context = make_context()
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    hung = executor_of(context, run.session_id)
    hung.suspend()
    assert context.host.facts(run.session_id).state == "silent"
    context.host.ensure_started(run.session_id, 1)
    assert executor_of(context, run.session_id).pid != hung.pid


def test_an_executor_is_ended_after_the_clock_was_set_forward(
    context: TaskContext, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    executor, told = executor_of(context, run.session_id), psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: told(process) + 600)
    assert not context.host.is_dead(run.session_id)
    context.host.stop(run.session_id)
    wait_until(lambda: not executor.is_running() or executor.status() == psutil.STATUS_ZOMBIE, executor.status)


def test_a_process_that_got_a_dead_executors_id_is_let_live(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    folder = folder_of(context, run.session_id)
    executor_of(context, run.session_id).kill()
    wait_until(lambda: context.host.is_dead(run.session_id), lambda: "still alive")
    other = psutil.Popen(["sleep", "100"])
    said = json.loads(folder.port_file.read_text())
    folder.port_file.write_text(json.dumps({**said, "pid": other.pid}))
    wait_until(lambda: context.host.is_dead(run.session_id), lambda: "its lock is still held")
    context.host.stop(run.session_id)
    assert other.status() != psutil.STATUS_ZOMBIE
    other.kill()
    other.wait()


def test_an_executor_of_an_older_epoch_is_replaced(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    old = context.host.ensure_started(run.session_id, 1)
    new = context.host.ensure_started(run.session_id, 2)
    assert context.executors.health(new.base_url).epoch == 2
    assert new.token != old.token
    with pytest.raises(HostFailed, match="newer epoch"):
        context.host.ensure_started(run.session_id, 1)


def test_an_executor_that_cannot_start_says_why(make_context: Make, runs: Runs) -> None:
    context = make_context()
    run = runs.start(max_attempts=1)
    folder = folder_of(context, run.session_id)
    folder.make(1)
    (folder.state / "spool.sqlite3").mkdir()
    assert execute_run(context, run.id) == "requeued"
    failed = runs.row(run.id)
    assert (failed.status, failed.reason_code) == ("failed", "worker_not_started")
    assert "spool" in (failed.reason_message or "")
    assert worker_row(runs, run.session_id).status == "lost"


def test_a_folder_that_cannot_be_made_is_a_reason(make_context: Make, runs: Runs) -> None:
    context = make_context()
    run = runs.start(max_attempts=1)
    folder_of(context, run.session_id).root.write_text("in the way")
    assert execute_run(context, run.id) == "requeued"
    assert "is not usable" in (runs.row(run.id).reason_message or "")


def test_stopping_a_worker_ends_its_process(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    executor = executor_of(context, run.session_id)
    context.host.stop(run.session_id)
    assert not executor.is_running() or executor.status() == psutil.STATUS_ZOMBIE
    assert context.host.facts(run.session_id).state == "dead"


def test_a_stopped_run_ends_as_cancelled(context: TaskContext, runs: Runs) -> None:
    run = waiting_run(context, runs)
    runs.stop(run.id)
    stop_run(context, run.id)
    assert runs.wait_for(run.id, "cancelled").reason_code is not None


def test_a_run_stopped_before_any_executor_was_there_is_cancelled_at_once(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.database.transact(claim_run, run.id, owner="gone", lock_seconds=60)
    runs.stop(run.id)
    stop_run(context, run.id)
    assert runs.row(run.id).status == "cancelled"


def test_an_executor_killed_in_a_run_comes_back_and_tells(context: TaskContext, runs: Runs) -> None:
    run = waiting_run(context, runs, max_attempts=1)
    executor = executor_of(context, run.session_id)
    agents = executor.children(recursive=True)
    assert agents
    executor.kill()
    wait_until(lambda: context.host.is_dead(run.session_id), lambda: "still alive")
    look_after_executors(context)
    failed = runs.wait_for(run.id, "failed")
    assert failed.reason_code == "agent_lost"
    psutil.wait_procs(agents, timeout=5)
    assert [agent for agent in agents if agent.is_running() and agent.status() != psutil.STATUS_ZOMBIE] == []


def test_a_run_with_attempts_left_goes_on_after_its_executor_was_killed(context: TaskContext, runs: Runs) -> None:
    run = waiting_run(context, runs)
    os.kill(executor_of(context, run.session_id).pid, 9)
    wait_until(lambda: context.host.is_dead(run.session_id), lambda: "still alive")
    look_after_executors(context)
    runs.wait_for(run.id, "queued")
    assert execute_run(context, run.id) == "started"
    again = runs.wait_for(run.id, "running", "succeeded")
    assert again.attempt == 2
    assert "run.retrying" in runs.types(run.id)


def test_an_executor_killed_while_its_run_is_being_stopped_is_ended_all_the_same(
    context: TaskContext, runs: Runs
) -> None:
    run = waiting_run(context, runs)
    os.kill(executor_of(context, run.session_id).pid, 9)
    wait_until(lambda: context.host.is_dead(run.session_id), lambda: "still alive")
    runs.stop(run.id)
    stop_run(context, run.id)
    assert runs.wait_for(run.id, "cancelled").attempt == 1


def test_an_executor_left_by_an_earlier_job_worker_is_noticed_when_it_ends(make_context: Make, runs: Runs) -> None:
    run = runs.start()
    activate(make_context(), run.session_id)
    runs.stop(run.id)
    later = make_context()
    look_after_workers(later)
    assert worker_row(runs, run.session_id).status == "active"
    executor_of(later, run.session_id).kill()
    wait_until(lambda: later.host.is_dead(run.session_id), lambda: "still alive")
    look_after_workers(later)
    assert worker_row(runs, run.session_id).status == "stopped"


def test_a_folder_of_an_older_epoch_is_put_aside_and_goes_with_the_worker(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    (folder_of(context, run.session_id).workspace / "old").write_text("here")
    context.host.ensure_started(run.session_id, 2)
    folder = folder_of(context, run.session_id)
    assert list(folder.workspace.iterdir()) == []
    aside = folder.root.with_name(f"{run.session_id}.epoch-1")
    assert (aside / "workspace" / "old").read_text() == "here"
    assert context.host.facts(run.session_id).volume_epoch == 2
    context.host.remove(run.session_id)
    assert context.host.facts(run.session_id).volume == "gone"
    assert [path.name for path in folder.root.parent.iterdir()] == [f"{run.session_id}.lock"]


def test_removal_also_takes_what_an_agent_has_locked(context: TaskContext, runs: Runs) -> None:
    run = runs.start()
    context.host.ensure_started(run.session_id, 1)
    locked = folder_of(context, run.session_id).workspace / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "file").write_text("x")
    locked.chmod(0o500)
    context.host.remove(run.session_id)
    assert context.host.sessions() == {}
