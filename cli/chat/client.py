"""The chat's client of the public API: start, stop, reply, and follow a session's events.

`follow` resumes after the last event that it yielded, whatever happens to the socket. The caller sees each event once,
in order.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import httpx
from pydantic import Field, ValidationError

from cli.chat.pages import pages
from schema.events import Envelope, RunWarning
from schema.options import RunOptions
from schema.wire import Json, Wire

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

T = TypeVar("T", bound=Wire)
TICK_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
LARGEST_FRAME_BYTES = 64 * 1024 * 1024
TRIES = 4
MOST_RUNS = 200
ANSWER_SECONDS = 30.0
PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
FINAL_CLOSINGS = {4401: "Your login has expired. Sign in again.", 4403: "You have no access to this session."}


class ChatError(Exception):
    """The chat cannot perform the command; the message is a sentence for the person."""


class ApiRefused(ChatError):
    """The API refused the request. `code` is its stable error code; `passes` says that a later try can succeed."""

    def __init__(self, sentence: str, *, code: str, passes: bool = False) -> None:
        self.code = code
        self.passes = passes
        super().__init__(sentence)


class Unreachable(ChatError):
    """No server answers at the URL."""


class Started(Wire):
    """The answer to a start; `seq` is the event log's sequence number before the run's first event."""

    run_id: UUID
    session_id: UUID
    status: str
    seq: int
    queue_position: int = 0
    warnings: list[RunWarning] = Field(default_factory=list)


class KnownRun(Wire):
    """A run as the API reports it; `finished_at` is None while the run is queued or active."""

    run_id: UUID
    status: str
    prompt: str
    finished_at: datetime | None = None


@dataclass(frozen=True)
class ChatPrompt:
    """A request to start a run; without `session_id` the API creates a session."""

    text: str
    session_id: UUID | None = None
    provider: str | None = None
    options: RunOptions = field(default_factory=RunOptions)
    attachments: tuple[str, ...] = ()

    def to_json(self) -> Json:
        options = self.options.model_dump(mode="json", by_alias=True, exclude_unset=True)
        session_id = str(self.session_id) if self.session_id else None
        body: Json = {
            "prompt": self.text,
            "sessionId": session_id,
            "provider": self.provider,
            "options": options or None,
        }
        body["attachments"] = list(self.attachments) or None
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True)
class Reply:
    """A person's answer to an agent's request."""

    decision: Literal["allow", "allow_always", "deny", "answer", "cancel"]
    option_id: str | None = None
    reason: str | None = None
    answers: Json | None = None


class Api:
    """A client for one URL and one bearer token. Its methods raise ApiRefused and Unreachable."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token
        # Requests to this machine must not go through a proxy that the environment names.
        self.uses_proxy = urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {token}"},
            timeout=ANSWER_SECONDS,
            trust_env=self.uses_proxy,
        )

    def start(self, prompt: ChatPrompt) -> Started:
        """Start at most one run: each try sends the same idempotency key, so a lost answer is safe."""
        headers = {"idempotency-key": str(uuid.uuid4())}
        return _read(Started, self.send("POST", "/api/runs/start", body=prompt.to_json(), headers=headers))

    def stop(self, run_id: UUID) -> None:
        self.send("POST", f"/api/runs/{run_id}/stop", body={})

    def unfinished_runs(self, session_id: UUID) -> list[KnownRun]:
        """Return the unfinished ones of the session's newest runs, the next run to execute first."""
        newest = list(islice(pages(self, f"/api/sessions/{session_id}/runs", limit=MOST_RUNS), MOST_RUNS))
        return [run for run in (_read(KnownRun, item) for item in reversed(newest)) if run.finished_at is None]

    def seq_before(self, run_id: UUID) -> int:
        """Return the sequence number before the run's first event; 0 when the run has no event."""
        items = self.send("GET", f"/api/runs/{run_id}/events?limit=1")["items"]
        return int(items[0]["seq"]) - 1 if items else 0

    def reply(self, request_id: UUID, reply: Reply) -> None:
        fields = {"decision": reply.decision, "optionId": reply.option_id, "reason": reply.reason}
        body = {name: value for name, value in {**fields, "answers": reply.answers}.items() if value is not None}
        self.send("POST", "/api/human-loop/reply", body={"requestId": str(request_id), **body})

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        most_tries: int = TRIES,
        timeout: float = ANSWER_SECONDS,
    ) -> Any:
        """Send a request, retrying transport errors, and return the answer's JSON; None for an empty body.

        Retries are safe: starts carry an idempotency key, and the API accepts a stop or a reply once.
        """
        for tries in range(most_tries):
            try:
                answer = self._http.request(method, path, json=body, headers=headers, timeout=timeout)
            except UnicodeEncodeError as error:
                raise ChatError("The text has bytes that are not UTF-8. Convert it, for example with iconv.") from error
            except httpx.TransportError as error:
                if tries == most_tries - 1:
                    raise Unreachable(f"No server answers at {self.url} ({error}). Start it with `make up`.") from error
                time.sleep(FIRST_PAUSE_SECONDS * 2**tries)
                continue
            if answer.is_success:
                return answer.json() if answer.content else None
            raise refusal(answer.status_code, answer.content)
        raise AssertionError("unreachable")

    def new_session(self) -> UUID:
        return UUID(self.send("POST", "/api/sessions", body={})["sessionId"])

    def upload(self, session_id: UUID, file: Path) -> Json:
        """Upload a file into the session's workspace. It is sent once: a second upload is a second file."""
        path = f"/api/sessions/{session_id}/uploads?{urlencode({'name': file.name})}"
        headers = {"content-type": "application/octet-stream"}
        try:
            answer = self._http.post(path, content=file.read_bytes(), headers=headers)
        except httpx.TransportError as error:
            raise Unreachable(f"The server at {self.url} did not answer ({error}). Try again.") from error
        if not answer.is_success:
            raise refusal(answer.status_code, answer.content)
        uploaded: Json = answer.json()
        return uploaded

    def download(self, path: str, *, on_headers: Callable[[Mapping[str, str]], None] | None = None) -> Iterator[bytes]:
        """Yield the bytes at a path. Raise ApiRefused, and Unreachable also when they end early.

        Call `on_headers` with the answer's headers, whose names match in any case, before the first bytes.
        """
        try:
            with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    raise refusal(answer.status_code, answer.read())
                if on_headers is not None:
                    on_headers(answer.headers)
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise Unreachable(f"The server at {self.url} did not send all of it ({error}). Try again.") from error


def refusal(status: int, body: bytes | bytearray) -> ApiRefused:
    """Return the detail of a problem document (RFC 9457); without one, name the HTTP status."""
    try:
        problem = json.loads(body)
        sentence = problem.get("detail") or problem["title"]
        return ApiRefused(str(sentence), code=str(problem.get("code", status)), passes=status in PASSING_STATUSES)
    except (ValueError, KeyError, AttributeError):
        sentence = f"The server answered with HTTP status {status}."
        return ApiRefused(sentence, code=str(status), passes=status in PASSING_STATUSES)


def follow(api: Api, session_id: UUID, *, after: int, notify: Callable[[str], None]) -> Iterator[Envelope | None]:
    """Yield the session's events after sequence number `after`, each once and in order, without end.

    Yield None about every 0.1 s without an event, so that the caller can do other work. Call `notify` once for each
    lost connection and once when it is back. Raise ApiRefused when the API would refuse a reconnection again.
    """
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

    pause, is_lost = FIRST_PAUSE_SECONDS, False
    while True:
        try:
            with _connect(api, session_id, after) as socket:
                for envelope in _events(socket):
                    if is_lost:
                        notify("Connected again.")
                    pause, is_lost = FIRST_PAUSE_SECONDS, False
                    if envelope is None:
                        yield None
                    elif envelope.seq > after:
                        after = envelope.seq
                        yield envelope
        except InvalidStatus as error:
            if error.response.status_code not in PASSING_STATUSES:
                raise refusal(error.response.status_code, error.response.body or b"") from error
        except (ConnectionClosed, InvalidHandshake, OSError):
            pass
        if not is_lost:
            notify("The connection is lost; reconnecting ...")
        is_lost = True
        yield from _idle(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _connect(api: Api, session_id: UUID, after: int) -> ClientConnection:
    from websockets.sync.client import connect

    return connect(
        f"{api.url.replace('http', 'ws', 1)}/api/sessions/{session_id}/ws?after={after}",
        additional_headers={"Authorization": f"Bearer {api.token}"},
        proxy=True if api.uses_proxy else None,
        compression="deflate" if api.uses_proxy else None,
        max_size=LARGEST_FRAME_BYTES,
        open_timeout=10,
        close_timeout=1,
    )


def _events(socket: ClientConnection) -> Iterator[Envelope | None]:
    """Yield events until the server announces a close.

    Raise ApiRefused when the close is final, ConnectionClosed when the connection drops.
    """
    while True:
        try:
            frame = json.loads(socket.recv(timeout=TICK_SECONDS))
        except TimeoutError:
            yield None
            continue
        if frame["kind"] == "event":
            yield Envelope.model_validate(frame)
        elif frame["kind"] == "closing":
            if frame["code"] in FINAL_CLOSINGS:
                raise ApiRefused(FINAL_CLOSINGS[frame["code"]], code=str(frame["code"]))
            return


def _idle(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(TICK_SECONDS)
        yield None


def _read(kind: type[T], answer: Any) -> T:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise ChatError(
            f"The server's answer has {error.error_count()} invalid fields. "
            "Check that RUNYARD_URL names a Runyard server."
        ) from error


def read_token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError as error:
        raise ChatError(
            f"The token file {file} does not exist. Start Runyard with `make up`, or set RUNYARD_TOKEN."
        ) from error
