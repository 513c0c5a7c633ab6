#!/usr/bin/env -S python3 -I
"""Stand between Codex's adapter and its app server, and take back the trust that the adapter gives to every workspace.

The adapter marks each working folder as trusted, and no setting of it says otherwise. A trusted folder's `.codex` may
start MCP servers and allow commands. This program starts the command of RUNYARD_CODEX (a JSON list), passes every line
on, and changes `trust_level` in the client's messages. It needs nothing but Python's standard library.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

TRUSTED = re.compile(rb'("trust_level"\s*:\s*)"trusted"')
"""Within a text of a message the quotes are escaped, so that only a real key matches."""


def untrusted(line: bytes) -> bytes:
    """Return a message with every project of its configuration marked as untrusted."""
    return TRUSTED.sub(rb'\1"untrusted"', line)


def main() -> int:
    command = [*json.loads(os.environ["RUNYARD_CODEX"]), *sys.argv[1:]]
    server = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert server.stdin is not None
    try:
        for line in sys.stdin.buffer:
            server.stdin.write(untrusted(line))
            server.stdin.flush()
        server.stdin.close()
    except BrokenPipeError:  # the server ended first; its exit code says how
        pass
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
