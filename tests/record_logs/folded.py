"""Write beside each recorded log what the server stores of it."""

from __future__ import annotations

import json
from pathlib import Path

from handlers.sessions.transcript import Transcript, event_of
from handlers.sessions.transcript_cut import cut_item
from handlers.sessions.transcript_fold import fold
from schema.wire import Json

CUTS = 4


def write_folded(log: Path) -> None:
    """Write the items that the log folds to, and what the server stores at some cuts of the log."""
    events = [event_of(json.loads(line)) for line in log.read_text().splitlines()]
    ends = [len(events) * part // (CUTS + 1) for part in range(1, CUTS + 1)]
    write_rows(log.with_suffix(".items.json"), stored(fold(Transcript(), events))["items"])
    write_rows(log.with_suffix(".cuts.json"), [stored(fold(Transcript(), events[:end])) for end in ends])


def stored(transcript: Transcript) -> Json:
    """Return what the server stores of the transcript."""
    items = sorted(transcript.items.values(), key=lambda item: int(item["firstSeq"]))
    return {"seq": transcript.seq, **transcript.state(), "items": [cut_item(item) for item in items]}


def write_rows(path: Path, rows: list[Json]) -> None:
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n")
