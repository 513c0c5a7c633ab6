"""Hand over to a run's agent, with its prompt, the messages and tool calls that it missed in its session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from handlers.runs.handover_text import BYTES_PER_TOKEN, Did, OpenTodo, PastRun, Said, handover_of
from handlers.runs.todos import todos_of_session
from schema.executor_api import Handover, Resume
from schema.rows import RunRow
from schema.sql import Conn, fetch_all, fetch_the, fetch_value

PAGE = 200
LAST = 2**63 - 1


@dataclass(frozen=True)
class UnseenRun:
    """A run that the agent of another run has not seen."""

    id: UUID
    provider: str
    bound: bool


@dataclass(frozen=True)
class _Piece:
    """A piece of a message or of a tool call; `part_of` is the id of that message or call."""

    seq: int
    is_said: bool
    part_of: str
    text: str | None
    title: str | None
    status: str | None


def unseen_runs(conn: Conn, run: RunRow, resume: Resume | None) -> list[UnseenRun]:
    """Return the runs that the resumed conversation has not seen, newest first; for a new one all earlier runs.

    Returns nothing when no other provider had a turn meanwhile, when the run asks for a blank beginning
    (`resume: false`), or when it continues after an interruption.
    """
    if run.prompt_delivered or not run.options.get("resume", True):
        return []
    unseen = fetch_all(conn, "unseen_runs", UnseenRun, run_id=run.id, begins_anew=resume is None)
    return unseen if any(unseen_run.bound or unseen_run.provider != run.provider for unseen_run in unseen) else []


def runs_of_lost_conversation(conn: Conn, run: RunRow, resume: Resume | None) -> list[UnseenRun]:
    """Return all earlier runs, newest first, if a save left out files that the agent may need to resume.

    Returns nothing when every file of its home is saved, and for a run that resumes nothing or continues.
    """
    if resume is None or resume.continuing or not fetch_value(conn, "home_lacks_files", session_id=run.session_id):
        return []
    return fetch_all(conn, "unseen_runs", UnseenRun, run_id=run.id, begins_anew=True)


def hand_over(conn: Conn, run: RunRow, unseen: Sequence[UnseenRun], *, max_tokens: int) -> Handover:
    """Return the transcript of these runs (newest first), made from the log alone."""
    most = max_tokens * BYTES_PER_TOKEN
    return handover_of(
        (_past_run(conn, unseen_run.id, most=most) for unseen_run in unseen),
        list(dict.fromkeys(unseen_run.provider for unseen_run in reversed(unseen))),
        count=len(unseen),
        todos=_open_todos(conn, run),
        max_tokens=max_tokens,
    )


def _open_todos(conn: Conn, run: RunRow) -> list[OpenTodo]:
    """Return open todos of other providers' agents; an agent knows its own list."""
    return [
        OpenTodo(item.provider, item.content, item.status)
        for group in todos_of_session(conn, run.session_id)
        for item in group.items
        if item.provider != run.provider and item.status != "completed"
    ]


def _past_run(conn: Conn, run_id: UUID, *, most: int) -> PastRun:
    """Return the run with its last messages and tool calls, read until they exceed `most` bytes."""
    run = fetch_the(conn, "run_by_id", RunRow, run_id=run_id)
    pieces: list[_Piece] = []
    size = 0
    for piece in _pieces(conn, run_id, longest=most + 1):
        if size > most:
            return PastRun(run.provider, run.prompt, _parts(pieces[::-1]), _outcome(run), is_cut=True)
        pieces.append(piece)
        size += 1 + len((piece.text or piece.title or "").encode())
    return PastRun(run.provider, run.prompt, _parts(pieces[::-1]), _outcome(run))


def _pieces(conn: Conn, run_id: UUID, *, longest: int) -> Iterator[_Piece]:
    """Yield the newest pieces first."""
    before = LAST
    while page := fetch_all(
        conn, "words_and_deeds_before", _Piece, run_id=run_id, before=before, longest=longest, limit=PAGE
    ):
        yield from page
        before = page[-1].seq


def _parts(pieces: Sequence[_Piece]) -> list[Said | Did]:
    """Join pieces to messages and tool calls, in the order of their beginnings; drop calls without a title."""
    wholes: dict[tuple[bool, str], list[_Piece]] = {}
    for piece in pieces:
        wholes.setdefault((piece.is_said, piece.part_of), []).append(piece)
    parts = [_part(whole) for whole in wholes.values()]
    return [part for part in parts if part is not None]


def _part(pieces: Sequence[_Piece]) -> Said | Did | None:
    if pieces[0].is_said:
        return Said("".join(piece.text or "" for piece in pieces))
    titles = [piece.title for piece in pieces if piece.title]
    statuses = [piece.status for piece in pieces if piece.status]
    return Did(titles[-1], statuses[-1] if statuses else None) if titles else None


def _outcome(run: RunRow) -> str:
    if not run.is_final:
        return "it has not ended"
    return f"{run.status}: {run.reason_message}" if run.reason_message else run.status
