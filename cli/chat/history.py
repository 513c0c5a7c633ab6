"""Show what was said in a session before: its newest prompts, answers, tools and ends of runs, from its transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from cli.chat.screen import Screen
from cli.times import ago_words, moment_of
from schema.wire import Json

if TYPE_CHECKING:
    from cli.chat.client import Api

ITEMS = 40
STATUS_MARKS = {"completed": "✓", "failed": "✗"}


def show_head(api: Api, screen: Screen, session_id: UUID) -> None:
    """Say which session it is, how to come back to it, and what was said in it. Raise ChatError."""
    session = api.send("GET", f"/api/sessions/{session_id}")
    title = session["title"] or "a session without a title"
    screen.note(f"{title}, last used {ago_words(moment_of(session['lastActivityAt']))}", style="bold")
    say_how_to_return(screen, session_id)
    show_history(screen, api.send("GET", f"/api/sessions/{session_id}/transcript?limit={ITEMS}"))


def say_how_to_return(screen: Screen, session_id: UUID) -> None:
    screen.note(f"session {session_id}  come back with: make chat SESSION={session_id}")


def show_history(screen: Screen, part: Json) -> None:
    """Show a page of a transcript. A run that has not ended is left out: the chat follows it from its first event."""
    ended = {item["runId"] for item in part["items"] if item["kind"] == "run"}
    items = [item for item in part["items"] if item.get("runId") in ended]
    if part.get("prevCursor") is not None and items:
        screen.note("... (python -m cli runs and show RUN tell what was before)")
    for item in items:
        _show_item(screen, item)


def _show_item(screen: Screen, item: Json) -> None:
    match item["kind"]:
        case "prompt":
            screen.note(f"\n› {item['text']}", style="bold")
        case "answer":
            screen.note(item["text"].rstrip("\n"), style="")
        case "tool":
            first = str(item["title"] or item["toolKind"]).split("\n")[0]
            screen.note(f"{STATUS_MARKS.get(item['status'], '▸')} {first}", style="cyan")
        case "asked" if item.get("decision"):
            screen.note(f"? {item['title']}: {item['decision']}", style="yellow")
        case "run":
            reason = f": {item['reason']['message']}" if item.get("reason") else ""
            screen.note(f"{item['status']}{reason}, {ago_words(moment_of(item['at']))}")
        case _:
            pass
