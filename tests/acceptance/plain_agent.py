"""An agent of the protocol that can do nothing but answer: no resume, no questions, no permissions.

Written without the package, as somebody else's agent would be. Each answer says how many prompts it remembers.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from typing import Any


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    send(method="session/update", params={"sessionId": "one", "update": update})


def main() -> None:
    heard = count(1)
    for line in sys.stdin:
        request = json.loads(line)
        match request["method"]:
            case "initialize":
                info = {"name": "plain", "version": "0.1"}
                result: dict[str, Any] = {"protocolVersion": 1, "agentCapabilities": {}, "agentInfo": info}
            case "session/new":
                result = {"sessionId": "one"}
            case "session/prompt":
                say(f"I remember {next(heard)} prompt(s).")
                result = {"stopReason": "end_turn"}
            case _:
                continue
        send(id=request["id"], result=result)


if __name__ == "__main__":
    main()
