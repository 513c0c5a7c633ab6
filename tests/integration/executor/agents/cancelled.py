"""`python cancelled.py <way>`: an agent that asks for a permission and handles a cancelled turn in its own way."""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any

FROM_CLIENT = os.fdopen(0, "rb", buffering=0)
"""Unbuffered, so that `select` sees every line that was not read."""


def send(**message: Any) -> None:
    os.write(1, (json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())


def read() -> dict[str, Any]:
    line = FROM_CLIENT.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def say(text: str) -> None:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    send(method="session/update", params={"sessionId": "s1", "update": update})


def ask(options: list[str]) -> int:
    """Ask within the first prompt. Return the prompt's id."""
    results = {
        "initialize": {"protocolVersion": 1, "agentCapabilities": {}},
        "session/new": {"sessionId": "s1"},
    }
    while (request := read())["method"] != "session/prompt":
        send(id=request["id"], result=results[request["method"]])
    choices = [{"optionId": kind, "name": kind, "kind": kind} for kind in options]
    params = {"sessionId": "s1", "toolCall": {"toolCallId": "t", "title": "Do it"}, "options": choices}
    send(id=1, method="session/request_permission", params=params)
    return int(request["id"])


def end(prompt: int) -> None:
    send(id=prompt, result={"stopReason": "cancelled"})
    while True:
        read()


def is_slow_to_cancel() -> None:
    """Go on for a moment after the cancel, and ask the model again when the answer is there meanwhile."""
    prompt = ask(["allow_once", "reject_once"])
    say(read()["method"])
    if select.select([FROM_CLIENT], [], [], 0.5)[0]:
        say(f" and then {json.dumps(read())}")
    end(prompt)


def waits_for_the_answer() -> None:
    """End the turn only when the request is answered too, as any agent may."""
    prompt = ask(["allow_once", "reject_once"])
    say(read()["method"])
    say(f" and then {read()['result']['outcome']['outcome']}")
    end(prompt)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
