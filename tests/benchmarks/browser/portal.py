"""What the portal costs a browser: a long log shown and read back, words that stream into it, letters typed below."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx

from schema.signature import signed_headers
from schema.wire import Json
from tests.acceptance.stack import CLONE, Stack, running_stack
from tests.benchmarks.ground import Source
from tests.benchmarks.report import Line, bounded
from tests.model_server.starter import model_server

PORTAL = CLONE / "portal"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
ITEMS, EVENTS_OF_AN_ITEM = 2_000, 5
DELTAS, DELTAS_OF_A_CALL, SECONDS = 1_000, 10, 5.0
WORDS_OF_A_PARAGRAPH = 40
A_CALL = 250
MOST_NODES, MOST_MEMORY = 450, 25


def portal() -> Iterator[Line]:
    """Measure in Chromium against a whole stack. CPU time is the page's: its scripts, styles, layout and painting."""
    node, chromium = shutil.which("node", path=PATH), os.environ.get("CHROMIUM") or shutil.which("chromium")
    if node is None or chromium is None:
        yield Line("portal", "a log of 10,000 events", "-", note="not measured: no Node.js or no Chromium here")
        return
    subprocess.run([sys.executable, "-m", "cli", "portal"], cwd=CLONE, check=True, stdout=subprocess.DEVNULL)
    with (
        model_server() as model,
        tempfile.TemporaryDirectory() as name,
        running_stack(Path(name), model_url=model.url) as stack,
        httpx.Client(base_url=stack.url, timeout=60) as client,
    ):
        source = _bound(client, stack.token)
        _report(client, source, _long_log(ITEMS))
        with _browser(node, chromium, stack, source) as browser:
            yield from _measured(browser, client, source)


def _measured(browser: subprocess.Popen[str], client: httpx.Client, source: Source) -> Iterator[Line]:
    shown = _told(browser, "shown")
    what = f"{ITEMS * EVENTS_OF_AN_ITEM:,} events in {ITEMS:,} items"
    yield bounded("portal", f"CPU to show {what}", shown["cpu"], unit="ms", most=200)
    yield bounded("portal", f"nodes of the page with {what}", shown["nodes"], most=MOST_NODES)
    yield bounded("portal", f"memory with {what}", shown["heap"], unit="MiB", most=MOST_MEMORY)
    read = _told(browser, "read")
    yield Line("portal", f"CPU to read back to the first of {ITEMS:,} items", f"{read['cpu']:,.4g} ms")
    yield bounded("portal", "nodes of the page at the first item", read["nodes"], most=MOST_NODES)
    yield bounded("portal", "memory with all items read", read["heap"], unit="MiB", most=MOST_MEMORY)
    _stream(client, source)
    browser.stdin.write("streamed\n")  # type: ignore[union-attr]
    browser.stdin.flush()  # type: ignore[union-attr]
    streamed = _told(browser, "streamed")
    into = f"CPU for {DELTAS:,} deltas in {SECONDS:.0f} s into that log"
    yield bounded("portal", into, streamed["cpu"], unit="ms", most=300)
    yield bounded("portal", "the longest task meanwhile", streamed["longest"], unit="ms", most=50)
    typed = _told(browser, "typed")
    yield bounded("portal", "CPU for a letter typed below that log", typed["cpu"], unit="ms", most=16)


@contextmanager
def _browser(node: str, chromium: str, stack: Stack, source: Source) -> Iterator[subprocess.Popen[str]]:
    """The program that drives Chromium and tells a line of JSON after each step."""
    given = {**os.environ, "PATH": PATH, "RUNYARD_DATA_DIR": str(stack.data)}
    link = subprocess.run(
        [sys.executable, "-m", "cli", "sign-in"], cwd=CLONE, env=given, capture_output=True, text=True, check=True
    )
    names = {
        "CHROMIUM": chromium,
        "RUNYARD_SIGN_IN": link.stdout.strip(),
        "SESSION_URL": f"{stack.url}/s/{source.session_id}",
        "LAST_WORD": f"word{DELTAS - 1}",
    }
    process = subprocess.Popen(
        [node, "tests/figures/measure.mjs"],
        cwd=PORTAL,
        env={**given, **names},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _told(browser: subprocess.Popen[str], step: str) -> dict[str, float]:
    assert browser.stdout is not None
    line = browser.stdout.readline()
    assert line, f"the browser ended before it told: {step}"
    told = json.loads(line)
    assert told.pop("step") == step, line
    return told  # type: ignore[no-any-return]


def _bound(client: httpx.Client, token: str) -> Source:
    client.headers["Authorization"] = f"Bearer {token}"
    answer = client.post(f"/api/runs/{uuid4()}/bind", json={"provider": "bench", "prompt": "go"})
    bound = answer.raise_for_status().json()
    return Source(bound["runId"], bound["sessionId"], bound["callbackKey"], bound["epoch"])


def _long_log(items: int) -> list[Json]:
    """Answers and tool calls in turns, each of five events."""
    said: list[Json] = []
    for item in range(items):
        if item % 2:
            words = [
                _event("message.delta", messageId=f"m{item}", role="assistant", text=f"Part {part} of answer {item}. ")
                for part in range(EVENTS_OF_AN_ITEM - 1)
            ]
            said += [*words, _event("message.stop", messageId=f"m{item}")]
        else:
            call = {"toolCallId": f"c{item}", "title": f"Edit file{item}.py", "kind": "edit"}
            moves = [_event("tool.update", **call, status="in_progress") for _ in range(EVENTS_OF_AN_ITEM - 2)]
            ended = _event("tool.update", **call, status="completed")
            said += [_event("tool.call", **call, status="pending"), *moves, ended]
    return said


def _event(type_: str, **data: object) -> Json:
    return {"id": str(uuid4()), "type": type_, "at": datetime.now(UTC).isoformat(), "data": data}


def _stream(client: httpx.Client, source: Source) -> None:
    """The words of one answer, in paragraphs, at an even pace."""
    began = time.monotonic()
    for first in range(0, DELTAS, DELTAS_OF_A_CALL):
        time.sleep(max(0, began + SECONDS * first / DELTAS - time.monotonic()))
        words = [_word(number) for number in range(first, first + DELTAS_OF_A_CALL)]
        _report(
            client, source, [_event("message.delta", messageId="last", role="assistant", text=one) for one in words]
        )


def _word(number: int) -> str:
    return f"word{number}" + ("\n\n" if number % WORDS_OF_A_PARAGRAPH == WORDS_OF_A_PARAGRAPH - 1 else " ")


def _report(client: httpx.Client, source: Source, events: Sequence[Json]) -> None:
    for first in range(0, len(events), A_CALL):
        part = [{**event, "n": source.n + at} for at, event in enumerate(events[first : first + A_CALL], start=1)]
        source.n += len(part)
        body = json.dumps({"epoch": source.epoch, "attempt": 1, "events": part}).encode()
        headers = {**signed_headers(source.key, body), "content-type": "application/json"}
        client.post(f"/api/runs/{source.run_id}/callbacks", content=body, headers=headers).raise_for_status()
