"""`python -I opencode_database.py <database> <session> <since>`: print the tokens of the session's model requests.

It runs under the agent's account, with the standard library alone. `since` is in milliseconds since 1970. Requests of
the session's subagents, and of theirs, count too. It prints nothing when no request is known.
"""

from __future__ import annotations

import json
import sqlite3
import sys

REQUESTS = """
WITH RECURSIVE family (id) AS (
    SELECT ?1 UNION SELECT session.id FROM session JOIN family ON session.parent_id = family.id
)
SELECT message.data FROM message JOIN family ON family.id = message.session_id WHERE message.time_created >= ?2
"""


def main() -> None:
    database, session, since = sys.argv[1:]
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=2)
    found = [json.loads(data) for (data,) in connection.execute(REQUESTS, (session, int(since)))]
    tokens = [message["tokens"] for message in found if message.get("role") == "assistant" and message.get("tokens")]
    if tokens:
        json.dump(
            {
                "input_tokens": sum(used["input"] for used in tokens),
                "output_tokens": sum(used["output"] + used.get("reasoning", 0) for used in tokens),
                "cached_read_tokens": sum(used["cache"]["read"] for used in tokens),
                "cached_write_tokens": sum(used["cache"]["write"] for used in tokens),
            },
            sys.stdout,
        )


if __name__ == "__main__":
    main()
