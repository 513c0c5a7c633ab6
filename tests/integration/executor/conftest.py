"""Real executors over HTTP, and a real receiver of their callbacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from schema.executor_api import END_BEING_KEPT
from tests.integration.executor.receiver import Receiver

TOKEN = "a-token-for-tests-0123456789"
ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 15
LOOK_SECONDS = 0.01
CALLS_FOR_AN_END = 20


def wait_until(is_met: Callable[[], bool], describe: Callable[[], str]) -> None:
    """For what only looking can tell."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_met():
        assert time.monotonic() < deadline, describe()
        time.sleep(LOOK_SECONDS)


class PatientClient(httpx.Client):
    """Asks again, as a job worker does, while the executor keeps the end of the run before. `send` does not."""

    def request(self, *arguments: Any, **named: Any) -> httpx.Response:
        for _ in range(CALLS_FOR_AN_END - 1):
            answer = super().request(*arguments, **named)
            if answer.status_code != 503 or END_BEING_KEPT not in answer.text:
                return answer
        return super().request(*arguments, **named)


class Worker:
    """One session's place: its folders stay, its executor comes and goes."""

    def __init__(self, folder: Path, receiver: Receiver, module: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.session_id = uuid4()
        self.receiver = receiver
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"
        self._module = module
        self._environment = environment
        self.client = PatientClient(headers={"authorization": f"Bearer {TOKEN}"}, timeout=20, trust_env=False)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def port_file(self) -> Path:
        return self.folder / "port.json"

    def start(self) -> None:
        self.port_file.unlink(missing_ok=True)
        self.process = self.spawn()
        process = self.process
        wait_until(lambda: self.port_file.exists() or process.poll() is not None, self.log.read_text)
        assert process.poll() is None, self.log.read_text()
        self.client.base_url = httpx.URL(f"http://127.0.0.1:{json.loads(self.port_file.read_text())['port']}")

    def spawn(self, **changes: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "EXECUTOR_AUTH_TOKEN": TOKEN,
            "EXECUTOR_SESSION_ID": str(self.session_id),
            "EXECUTOR_EPOCH": "3",
            "EXECUTOR_PORT_FILE": str(self.port_file),
            "EXECUTOR_WORKSPACE_DIR": str(self.workspace),
            "EXECUTOR_AGENT_HOME": str(self.folder / "home"),
            "EXECUTOR_STATE_DIR": str(self.folder / "state"),
            "EXECUTOR_STOP_GRACE_SECONDS": "2",
            "EXECUTOR_HEARTBEAT_SECONDS": "0.3",
            "PYTHONPATH": str(ROOT),
            **self._environment,
            **changes,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", self._module], cwd=ROOT, env=environment, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def run_body(self, run_id: UUID, prompt: object, **changes: object) -> dict[str, Any]:
        attempt = int(str(changes.get("attempt", 1)))
        return {
            "runId": str(run_id),
            "sessionId": str(self.session_id),
            "attempt": attempt,
            "claim": 1,
            "epoch": 3,
            "provider": "scripted",
            "prompt": prompt if isinstance(prompt, str) else json.dumps(prompt),
            "callback": self.receiver.callback(run_id, attempt),
            **changes,
        }

    def run(self, prompt: object, **changes: object) -> UUID:
        """Start a run; its id."""
        run_id = uuid4()
        answer = self.client.post("/runs", json=self.run_body(run_id, prompt, **changes))
        assert answer.status_code == 202, answer.text
        return run_id

    def state(self, run_id: UUID) -> dict[str, Any]:
        answer = self.client.get(f"/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for_state(self, run_id: UUID, is_met: Callable[[dict[str, Any]], bool]) -> None:
        wait_until(lambda: is_met(self.state(run_id)), lambda: str(self.state(run_id)))

    def let_go_on(self, name: str) -> None:
        """Make the file that the agent waits for."""
        (self.workspace / name).touch()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def make_worker(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[..., Worker]]:
    """Workers whose executors are ended with the test. `module` is the program, the rest its environment."""
    made: list[Worker] = []

    def make(module: str = "tests.integration.executor.scripted", **environment: str) -> Worker:
        folder = tmp_path / f"worker{len(made)}"
        folder.mkdir()
        made.append(Worker(folder, receiver, module, environment))
        return made[-1]

    yield make
    for worker in made:
        if worker.process is not None and worker.process.poll() is None:
            worker.end()
        worker.client.close()


@pytest.fixture(scope="module")
def standing_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One for all tests of a module that leave nothing behind in it."""
    receiver = Receiver()
    worker = Worker(tmp_path_factory.mktemp("standing"), receiver, "tests.integration.executor.scripted", {})
    worker.start()
    yield worker
    worker.end()
    worker.client.close()
    receiver.close()


@pytest.fixture
def worker(make_worker: Callable[..., Worker]) -> Worker:
    """One with a running executor whose agent follows a script."""
    worker = make_worker()
    worker.start()
    return worker
