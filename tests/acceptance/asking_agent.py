"""An agent of the protocol that asks several permissions at once, and asks those anew that were open when it ended.

`ask a b` asks to write the files a and b, and writes each file as soon as it is allowed. With `--forgets` it cannot
resume a conversation. Written without the package, as somebody else's agent would be.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

MEMORY = Path.home() / ".asking-agent.json"
OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


class Agent:
    def __init__(self, *, forgets: bool) -> None:
        self.forgets = forgets
        self.ids = count(1000)
        self.prompt_id: object = None
        self.cwd = Path()
        self.asked: dict[int, str] = {}
        self.open: list[str] = []

    def hear(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "initialize":
                info = {"name": "asking", "version": "0.1"}
                able = {"loadSession": not self.forgets}
                send(id=message["id"], result={"protocolVersion": 1, "agentCapabilities": able, "agentInfo": info})
            case "session/new" | "session/load":
                self.cwd = Path(params["cwd"])
                if message["method"] == "session/load":
                    self.open = json.loads(MEMORY.read_text())
                send(id=message["id"], result={"sessionId": "one"} if message["method"] == "session/new" else {})
            case "session/prompt":
                self.prompt_id = message["id"]
                words = params["prompt"][-1]["text"].split()
                if words[0] == "ask":
                    self.remember(words[1:])
                self.ask()
            case None:
                self.decided(message)

    def ask(self) -> None:
        for name in self.open:
            number = next(self.ids)
            self.asked[number] = name
            call = {"toolCallId": f"write-{name}", "title": f"Write {name}", "kind": "edit", "rawInput": {"path": name}}
            params = {"sessionId": "one", "toolCall": call, "options": OPTIONS}
            send(id=number, method="session/request_permission", params=params)
        self.end_if_done()

    def decided(self, message: dict[str, Any]) -> None:
        name = self.asked.pop(message["id"])
        outcome = message.get("result", {}).get("outcome", {})
        if outcome.get("optionId") == "yes":
            with (self.cwd / name).open("a") as file:
                file.write("written\n")
        self.remember([left for left in self.open if left != name])
        self.end_if_done()

    def remember(self, names: list[str]) -> None:
        self.open = names
        MEMORY.write_text(json.dumps(names))

    def end_if_done(self) -> None:
        if self.asked:
            return
        text = {"type": "text", "text": "All is decided."}
        update = {"sessionUpdate": "agent_message_chunk", "content": text}
        send(method="session/update", params={"sessionId": "one", "update": update})
        send(id=self.prompt_id, result={"stopReason": "end_turn"})


def main() -> None:
    agent = Agent(forgets="--forgets" in sys.argv)
    for line in sys.stdin:
        agent.hear(json.loads(line))


if __name__ == "__main__":
    main()
