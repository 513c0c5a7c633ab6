"""`python -m tests.model_server --port 0 --script file.json`: a model that does what a script says.

It speaks the Messages, Responses and Chat Completions APIs, so that Claude Code, Codex and OpenCode can use it. It
prints its port as its first line. The script is `{"steps": [...]}`; each request of an agent's main conversation takes
one step, side requests (titles, model lists) take none. A step is one of

    {"text": "..."}                                    an answer; with "thought" also a thought before it
    {"tool": "write", "path": "...", "content": "..."} a file written with the agent's own tool
    {"tool": "run", "command": "..."}                  a command; "escalate": true asks Codex to leave its sandbox
    {"tool": "read", "path": "..."}
    {"tool": "todos", "items": [{"content": "...", "status": "pending"}]}
    {"tool": "ask", "question": "...", "options": ["...", "..."]}
    {"tool": "native", "name": "...", "input": {...}}  the agent's own tool by its own name
    {"hang": true}                                     no answer, ever
    {"status": 500, "message": "..."}                  an HTTP error
    {"malformed": true}                                a stream that is no JSON
    {"text": "...", "cut": true}                       half a stream, then the connection ends
    {"text": "...", "stall": true}                     half a stream, then nothing

with "text" beside a tool, "repeat": true for a step that stays, and "usage": {"input", "output", "cached_read",
"cached_write"} in any. `GET /_state` answers
`{stepsLeft, prompts: [what people said, one for each delivery], requests: [{api, side, prompt, body, failed}]}`;
`POST /_script {"steps": [...]}` adds steps, `POST /_reset` forgets steps and requests.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tests.model_server.script import Script
from tests.model_server.server import make_server


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted model server on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path)
    given = parser.parse_args()
    steps = json.loads(given.script.read_text(encoding="utf-8"))["steps"] if given.script else []
    server = make_server(given.port, Script(steps))
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
