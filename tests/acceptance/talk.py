"""What a client does, in words: say something, follow the session's log, answer, stop. The public API only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx
from websockets.sync.client import connect

Json = dict[str, Any]
RUN_SECONDS = 120.0


class Talk:
    """A signed-in client. Remembers the runs that it started."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        self.http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30)
        self._runs: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def start(self, prompt: str, **fields: object) -> Json:
        """`{runId, sessionId, ...}` of the accepted run."""
        answer = self.http.post("/api/runs/start", json={"prompt": prompt, **fields})
        assert answer.status_code == 202, answer.text
        started: Json = answer.json()
        self._runs.append(started["runId"])
        return started

    def run(self, run_id: str) -> Json:
        found: Json = self.http.get(f"/api/runs/{run_id}").raise_for_status().json()
        return found

    def stop(self, run_id: str) -> httpx.Response:
        return self.http.post(f"/api/runs/{run_id}/stop")

    def reply(self, request_id: str, decision: str, **fields: object) -> httpx.Response:
        return self.http.post("/api/human-loop/reply", json={"requestId": request_id, "decision": decision, **fields})

    def events(self, run_id: str) -> list[Json]:
        """All events of the run so far."""
        items: list[Json] = []
        while True:
            after = items[-1]["seq"] if items else 0
            page = self.http.get(f"/api/runs/{run_id}/events", params={"after": after, "limit": 500}).json()["items"]
            if not page:
                return items
            items += page

    @contextmanager
    def following(self, session_id: str, *, after: int = 0, by: str = "session") -> Iterator[Iterator[Json]]:
        """The session's events by its own WebSocket, or by the one of a tab, as they come."""
        path = "/api/ws" if by == "tab" else f"/api/sessions/{session_id}/ws?after={after}"
        address = self.url.replace("http", "ws", 1) + path
        with connect(address, additional_headers={"authorization": f"Bearer {self._token}"}, max_size=None) as socket:
            if by == "tab":
                socket.send(json.dumps({"kind": "subscribe", "sessionId": session_id, "after": after}))
            yield self._messages(socket)

    def snapshot(self, session_id: str) -> Json:
        """The frame in which a socket without a cursor tells the session's present state."""
        address = f"{self.url.replace('http', 'ws', 1)}/api/sessions/{session_id}/ws"
        with connect(address, additional_headers={"authorization": f"Bearer {self._token}"}, max_size=None) as socket:
            frame: Json = json.loads(socket.recv(timeout=RUN_SECONDS))
        assert frame["kind"] == "snapshot"
        return frame

    @staticmethod
    def _messages(socket: Any) -> Iterator[Json]:
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            message = json.loads(socket.recv(timeout=max(0.1, deadline - time.monotonic())))
            if message.pop("kind") == "event":
                yield message

    def watch(
        self, started: Json, *, answer: str | Callable[[Json], str] | None = None, until: str = "run.finished"
    ) -> list[Json]:
        """The run's events by WebSocket up to the first of type `until`; permissions are answered on the way."""
        seen: list[Json] = []
        with self.following(started["sessionId"], after=started["seq"]) as events:
            for event in events:
                if event.get("runId") != started["runId"]:
                    continue
                seen.append(event)
                if event["type"] == until:
                    return seen
                if event["type"] == "human_loop.requested" and answer is not None:
                    decision = answer if isinstance(answer, str) else answer(event["data"])
                    replied = self.reply(event["data"]["requestId"], decision)
                    assert replied.status_code == 200, replied.text
        raise AssertionError("the socket ended before the run")

    def say(self, prompt: str, *, answer: str | None = None, **fields: object) -> list[Json]:
        """Start and watch to the end."""
        return self.watch(self.start(prompt, **fields), answer=answer)

    def stop_what_lives(self) -> None:
        for run_id in self._runs:
            if "finishedAt" not in self.run(run_id):
                self.stop(run_id)


def types(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


def texts(events: list[Json], role: str = "assistant") -> str:
    """What was said in that role."""
    deltas = [event["data"] for event in events if event["type"] == "message.delta"]
    return "".join(delta["text"] for delta in deltas if delta["role"] == role)


def of_type(events: list[Json], type_: str) -> list[Json]:
    """The data of the events of one type."""
    return [event["data"] for event in events if event["type"] == type_]


def end(events: list[Json]) -> Json:
    """The data of the run's end."""
    data: Json = of_type(events, "run.finished")[-1]
    return data


def outcome(events: list[Json]) -> tuple[str, str | None]:
    """How the run ended: its status and the sentence that says why, if there is one."""
    reason = end(events).get("reason")
    return end(events)["status"], reason and reason["message"]
