"""Prompts by which the demo agent takes all it can get of its worker."""

QUIETLY = ">/dev/null 2>&1 &"
FLOOD = "flood 1000000000"
GREEDY = f"""run: for i in 1 2 3 4; do (while :; do :; done) {QUIETLY} done
run: (while :; do head -c 300M /dev/zero | tail -c 299M; done) {QUIETLY}
run: (while :; do for i in $(seq 150); do sleep 0.2 & done; wait; done) {QUIETLY}
{FLOOD}"""
"""Processors, memory, processes and events."""
WRITING = f"run: (while :; do head -c 100M /dev/zero > full; sync full; done) {QUIETLY}"
"""The disk."""
HOSTILE = f"{WRITING}\n{GREEDY}"
