"""`python -m cli show RUN`: a run from its prompt to its end, as `make chat` showed it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from cli.chat.client import Api
from cli.chat.pages import pages
from cli.chat.people import People
from cli.chat.screen import Screen, visible
from cli.times import moment_of, moment_words
from schema.events import Envelope
from schema.wire import Json

PAGE = 500


def show_run(api: Api, args: argparse.Namespace) -> int:
    """Print the run and its events."""
    run = api.send("GET", f"/api/runs/{args.run_id}")
    events = list(run_events(api, run["runId"]))
    if args.json:
        print(json.dumps({**run, "events": events}))
        return 0
    from rich.console import Console  # the administration's image has no rich

    screen = Screen(Console(file=sys.stdout, highlight=False, markup=False), name_of=People(api).name)
    for line in head_lines(run):
        screen.note(line)
    screen.note(f"› {run['prompt']}", style="bold")
    for event in without_past_deadlines(events):
        screen.show(Envelope.model_validate(event))
    screen.note(f"Continue this session with: make chat SESSION={run['sessionId']}")
    return 0


def run_events(api: Api, run_id: str) -> Iterator[Json]:
    """Yield all events of a run, oldest first."""
    return pages(api, f"/api/runs/{run_id}/events", limit=PAGE, cursor_name="after")


def without_past_deadlines(events: list[Json]) -> Iterator[Json]:
    """Yield the events; a request that was decided has no deadline any more."""
    decided = {event["data"]["requestId"] for event in events if event["type"] == "human_loop.resolved"}
    for event in events:
        data = event["data"]
        if event["type"] == "human_loop.requested" and data["requestId"] in decided:
            yield {**event, "data": {name: value for name, value in data.items() if name != "expiresAt"}}
        else:
            yield event


def head_lines(run: Json) -> list[str]:
    """Say which run it is, by whom, when, and in which state."""
    began = moment_words(moment_of(run.get("startedAt") or run["createdAt"]))
    attempts = f", attempt {run['attempt']} of {run['maxAttempts']}" if run["attempt"] > 1 else ""
    position = f", {run['queuePosition']} runs before it" if run.get("queuePosition") else ""
    return [visible(f"run {run['runId']}  {run['provider']}, {began}, {run['status']}{attempts}{position}")]
