"""Replace what differs from one recording to the next: ids, times, durations, and paths of the machine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schema.wire import Json, rfc3339

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
STEP = timedelta(milliseconds=100)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
OTHER_ID = re.compile(r"\b(ses|msg|prt|call|toolu|per|que|tool|resp|item|rs|fc)_[0-9A-Za-z]{12,}")
SHORT_ID = re.compile(r"\bcall-[0-9a-f]{8}-")
Form = Callable[[re.Match[str], int], str]
DURATION = re.compile(r'("(?:seconds|durationMs|duration_ms)": )[0-9.]+')


def normalized(events: list[Json], *, folder: str, model_url: str, token: str) -> list[str]:
    """Return each event as a line of JSON. Raises ValueError when a secret or the machine's path is left."""
    text = "\n".join(json.dumps(event, ensure_ascii=False) for event in events)
    for name, stands_for in (
        (folder, "/runyard"),
        (folder.strip("/"), "runyard"),
        (model_url, "http://model.test"),
        (str(Path(sys.prefix).resolve()), "/python"),
        (str(Path(__file__).parents[2]), "/clone"),
    ):
        text = text.replace(name, stands_for)
    for pattern, form in ((UUID, _uuid), (OTHER_ID, _other_id), (SHORT_ID, _short_id)):
        text = _numbered(text, pattern, form)
    text = DURATION.sub(r"\g<1>0.5", _with_times(text))
    if token in text or "sk-scripted" in text:
        raise ValueError("a recorded log has a secret in it")
    return text.split("\n")


def _numbered(text: str, pattern: re.Pattern[str], form: Form) -> str:
    """Number the matches in the order in which they first appear."""
    numbers: dict[str, int] = {}

    def replace(match: re.Match[str]) -> str:
        number = numbers.setdefault(match[0], len(numbers) + 1)
        return form(match, number)

    return pattern.sub(replace, text)


def _uuid(_match: re.Match[str], number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _other_id(match: re.Match[str], number: int) -> str:
    return f"{match[1]}_{number:04}"


def _short_id(_match: re.Match[str], number: int) -> str:
    return f"call-{number:08x}-"


def _with_times(text: str) -> str:
    """Move all times to a day of their own, a step apart, in the order that they had."""
    times = sorted(set(TIME.findall(text)), key=datetime.fromisoformat)
    moved = {time: rfc3339(START + STEP * number) for number, time in enumerate(times)}
    return TIME.sub(lambda match: moved[match[0]], text)
