"""A small MCP server without tools: `python mcp_server.py FILE` writes its variables to the file and answers."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

NAMES = ("PLAIN", "KEY")


def answer(method: str, params: dict[str, object]) -> dict[str, object]:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "helper", "version": "1"},
        }
    return {"tools": []} if method == "tools/list" else {}


def main() -> None:
    Path(sys.argv[1]).write_text(json.dumps({name: os.environ.get(name) for name in NAMES}), encoding="utf-8")
    for line in sys.stdin:
        call = json.loads(line)
        if "id" in call and "method" in call:
            result = answer(call["method"], call.get("params") or {})
            print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
