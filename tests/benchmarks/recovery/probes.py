"""What people wait for after a fault, each asked again and again in a thread of its own, over the public API."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

import httpx

from tests.acceptance.stack import Stack
from tests.acceptance.talk import Json

PAUSE_SECONDS = 0.1
ANSWER_SECONDS = 2.0
AUTO: Json = {"mode": "auto"}
Ask = Callable[[httpx.Client], bool]


class Probe:
    """Asks until the answer is yes. `began` is when the waiting is counted from (monotonic seconds)."""

    def __init__(self, stack: Stack, ask: Ask) -> None:
        self._stack = stack
        self._ask = ask
        self._closing = threading.Event()
        self._answered_at: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(2 * ANSWER_SECONDS)

    def seconds_since(self, began: float, *, at_most: float) -> float | None:
        """Wait for the yes. Return when it came, in seconds after `began`, at least 0; None when it does not come."""
        self._thread.join(max(0.0, at_most - (time.monotonic() - began)))
        return None if self._answered_at is None else max(0.0, self._answered_at - began)

    def _run(self) -> None:
        headers = {"authorization": f"Bearer {self._stack.token}"}
        with httpx.Client(base_url=self._stack.url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False) as http:
            while not self._closing.is_set():
                try:
                    if self._ask(http):
                        self._answered_at = time.monotonic()
                        return
                except (httpx.HTTPError, ValueError, KeyError):
                    pass  # it does not answer, or with a problem
                self._closing.wait(PAUSE_SECONDS)


class Start:
    """The start of a run, tried under one key until it is accepted. `seq` is the last event seen of it."""

    def __init__(self, prompt: str, *, session_id: str | None = None) -> None:
        session = {"sessionId": session_id} if session_id else {}
        self._body = {"prompt": prompt, "provider": "demo", "options": AUTO, "maxAttempts": 5, **session}
        self._key = str(uuid4())
        self.run_id: str | None = None
        self.seq = 0

    def is_accepted(self, http: httpx.Client) -> bool:
        answered = http.post("/api/runs/start", json=self._body, headers={"Idempotency-Key": self._key})
        if answered.status_code != 202:
            return False
        self.run_id = answered.json()["runId"]
        return True

    def is_at_work(self, http: httpx.Client) -> bool:
        """Whether its agent has said something."""
        return bool(self.new_events(http))

    def new_events(self, http: httpx.Client) -> list[Json]:
        """The events that its executor reported since the last call."""
        if self.run_id is None:
            return []
        answered = http.get(f"/api/runs/{self.run_id}/events", params={"after": self.seq, "limit": 500})
        items = answered.raise_for_status().json()["items"]
        self.seq = max([self.seq, *(event["seq"] for event in items)])
        return [event for event in items if event["author"] == "executor" and event["type"] != "run.started"]


def goes_on(run: Start, since: datetime, http: httpx.Client) -> bool:
    """Whether the run has an event that its executor made after `since`."""
    return any(datetime.fromisoformat(event["at"]) > since for event in run.new_events(http))


def why_says(run: Start, words: Sequence[str], http: httpx.Client) -> bool:
    """Whether the answer to `why` holds one of the words, in its code or its history. Without words any answer does."""
    if run.run_id is None:
        return False
    why = http.get(f"/api/why/runs/{run.run_id}").raise_for_status().json()
    return not words or bool({why.get("code"), *(item["what"] for item in why["history"])} & set(words))


def now() -> datetime:
    return datetime.now(UTC)
