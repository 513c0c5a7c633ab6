"""The messages of WebSockets: what the server sends, as one union by `kind`, and what it reads."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, RootModel

from functions.http.schemas import Cursor
from functions.human_loop.schemas import HumanRequestAnswer, ShownRequestAnswer
from functions.runs.schemas import RunAnswer
from functions.runs.todos import TodoGroupAnswer
from functions.runtime.socket_peer import text_frame
from functions.sessions.schemas import SessionAnswer
from functions.sessions.transcript_schemas import TranscriptPart
from schema.events import Envelope
from schema.queue_api import QueueItem
from schema.wire import Wire
from schema.worker_api import WorkerReport


class HelloFrame(Wire):
    """The first message of `WS /api/ws`."""

    kind: Literal["hello"] = "hello"
    user_id: UUID
    version: str


class SnapshotFrame(Wire):
    """A session at one moment, for who named no cursor; events after `seq` follow.

    `queue` holds at most 100 runs, `transcript` the newest 60 items. Its own `seq` is lower when a log is far ahead of
    what is folded: read the events between. `users` maps ids of users in the items to their names.
    """

    kind: Literal["snapshot"] = "snapshot"
    session_id: UUID
    session: SessionAnswer
    runs: list[RunAnswer]
    requests: list[HumanRequestAnswer]
    todos: list[TodoGroupAnswer]
    queue: list[QueueItem]
    worker: WorkerReport | None = None
    transcript: TranscriptPart
    users: dict[UUID, str]
    seq: int


class EventFrame(Envelope):
    """An event of a session that the socket reads: each once and in order."""

    kind: Literal["event"] = "event"


class SessionFrame(SessionAnswer):
    """A row of your list that has changed."""

    kind: Literal["session"] = "session"


class SessionDeletedFrame(Wire):
    """A row that is no longer in your list."""

    kind: Literal["session_deleted"] = "session_deleted"
    session_id: UUID


class RequestFrame(Wire):
    """An agent's request that waits for you, or no longer does, going by its `status`."""

    kind: Literal["request"] = "request"
    session_id: UUID
    request_id: UUID
    status: str
    request: ShownRequestAnswer


class PresentUser(Wire):
    user_id: UUID
    name: str


class PresenceFrame(Wire):
    """Who reads a session now that you read too."""

    kind: Literal["presence"] = "presence"
    session_id: UUID
    users: list[PresentUser]


class PongFrame(Wire):
    """The answer to `{"kind": "ping"}`."""

    kind: Literal["pong"] = "pong"


class ErrorFrame(Wire):
    """A message that could not be followed; the socket stays open. `code` is stable, `detail` is a sentence."""

    kind: Literal["error"] = "error"
    code: str
    detail: str
    session_id: UUID | None = None


class UnsubscribedFrame(Wire):
    """The server has ended a subscription of `WS /api/ws` after the event `seq`; the socket stays.

    Code 4403: the session was deleted, or may not be read any more.
    """

    kind: Literal["unsubscribed"] = "unsubscribed"
    session_id: UUID
    code: int
    reason: str
    seq: int


class ClosingFrame(Wire):
    """The last message before the server closes: 4008 slow reader, 4401 login expired, 4403 forbidden, 1012 restart.

    `seq` is the last event that was sent, to be used as `after`; `cursors` has it by session for `WS /api/ws`. After a
    restart connect again when `retryAfterMs` is over.
    """

    kind: Literal["closing"] = "closing"
    code: int
    reason: str
    seq: int | None = None
    cursors: dict[UUID, int] | None = None
    retry_after_ms: int | None = None


class SocketFrame(
    RootModel[
        Annotated[
            HelloFrame
            | SnapshotFrame
            | EventFrame
            | SessionFrame
            | SessionDeletedFrame
            | RequestFrame
            | PresenceFrame
            | PongFrame
            | ErrorFrame
            | UnsubscribedFrame
            | ClosingFrame,
            Field(discriminator="kind"),
        ]
    ]
):
    """Every message that the server sends over a WebSocket."""


class Subscribe(Wire):
    """Read a session: after the cursor, or a snapshot first, with so many of the newest items of its transcript."""

    session_id: UUID
    after: Cursor | None = None
    transcript: int = Field(default=60, ge=1, le=200)


class Unsubscribe(Wire):
    session_id: UUID


PONG = text_frame(b'{"kind":"pong"}')


def json_of(message: Wire) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_none=True).encode()


def frame_of(message: Wire) -> bytes:
    """Return the message as a whole frame, for any number of peers."""
    return text_frame(json_of(message))
