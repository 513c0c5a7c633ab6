"""`python scripted_bytes.py before|within|answers <file>`: an agent that writes the bytes of the file.

`before` anything else, `within` the turn and then ends it as it should, or as its `answers`, a line a request.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

RESULTS: dict[str, Any] = {
    "initialize": {"protocolVersion": 1, "agentCapabilities": {}},
    "session/new": {"sessionId": "s1"},
    "session/prompt": {"stopReason": "end_turn"},
}


def write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def answer_as_it_should(said: bytes) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("method") == "session/prompt":
            write_all(said)
        if request.get("method") in RESULTS:
            result = {"jsonrpc": "2.0", "id": request["id"], "result": RESULTS[request["method"]]}
            write_all(json.dumps(result).encode() + b"\n")


def main(when: str, file: str) -> None:
    with open(file, "rb") as opened:
        said = opened.read()
    if when == "answers":
        for line in said.splitlines(keepends=True):
            sys.stdin.readline()
            write_all(line)
        sys.stdin.read()
        return
    if when == "before":
        write_all(said)
    answer_as_it_should(said if when == "within" else b"")


if __name__ == "__main__":
    main(*sys.argv[1:])
